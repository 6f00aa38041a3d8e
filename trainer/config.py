"""Recipes as TOML files: the names of the values are those of the options."""

import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_type_hints

from trainer.augmentation import Strength
from trainer.errors import TrainerError
from trainer.recipe import DEFAULT_RECIPE, RECIPES, Recipe

_AUGMENTATION = "augmentation"
_TYPES = {
    int: "an integer",
    float: "a number",
    str: "a string",
    tuple[int, ...]: "a list of integers",
    Strength: "true, false or a table",
}


def read_recipe(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a recipe from a TOML file.

    Returns:
        The name of the recipe that it changes, and the values for `Recipe.with_values`.

    Raises:
        TrainerError: It is not TOML, a key is unknown, or a value has another type.
        OSError: It cannot be read.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        base = table.pop("recipe", DEFAULT_RECIPE)
        if base not in list(RECIPES):
            raise ValueError(f"expected recipe to be one of {', '.join(RECIPES)}, got {base!r}")
        return base, _values(table, Recipe)
    except (ValueError, RecursionError) as error:
        raise TrainerError(f"{path}: {error}") from error


def to_toml(name: str, recipe: Recipe) -> str:
    """Return a TOML file from which `read_recipe` reads the recipe with this name."""
    lines = [f"recipe = {json.dumps(name)}", *_lines(recipe)]
    if recipe.augmentation:
        lines += ["", f"[{_AUGMENTATION}]", *_lines(recipe.augmentation)]
    else:
        lines.append(f"{_AUGMENTATION} = false")
    return "\n".join(lines) + "\n"


def _lines(settings: Recipe | Strength) -> list[str]:
    return [
        f"{name.replace('_', '-')} = {json.dumps(value)}"
        for name, value in vars(settings).items()
        if name != _AUGMENTATION and value is not None
    ]


def _values(table: Mapping[str, Any], settings: type[Recipe | Strength]) -> dict[str, Any]:
    """Convert a table to values of the fields of a dataclass."""
    hints = {name.replace("_", "-"): hint for name, hint in get_type_hints(settings).items()}
    for key in table.keys() - hints.keys():
        (nearest,) = get_close_matches(key, [*hints, "recipe"], n=1, cutoff=0)
        raise ValueError(f"expected a known key, got {key!r}: the nearest is {nearest!r}")
    return {key.replace("-", "_"): _value(key, value, hints[key]) for key, value in table.items()}


def _value(key: str, value: Any, hint: Any) -> Any:
    """Convert a value to the type of a field, which is one of `_TYPES` or optional."""
    expected = next(kind for kind in (hint, *get_args(hint)) if kind in _TYPES)
    match value:
        case bool() if expected is Strength:
            return {} if value else False
        case dict() if expected is Strength:
            return _values(value, Strength)
        case bool():
            pass
        case int() | float() if expected is float:
            return float(str(value))  # infinity if it is too large
        case int() | str() if expected is type(value):
            return value
        case list() if expected == tuple[int, ...] and all(type(item) is int for item in value):
            return tuple(value)
    raise ValueError(f"expected {key} to be {_TYPES[expected]}, got {value!r}")
