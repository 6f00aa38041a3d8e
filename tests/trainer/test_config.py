"""Recipes as TOML files: what is printed is read back, and wrong keys and types are rejected."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from trainer.augmentation import Strength
from trainer.config import read_recipe, to_toml
from trainer.errors import TrainerError
from trainer.recipe import RECIPES, Recipe


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        *RECIPES.items(),
        ("quick", Recipe((), 1e-30, 0.5, "constant", 0.25, 3, 2, 9, Strength(rotation=1e-7))),
    ],
)
def test_a_printed_recipe_is_read_back(tmp_path: Path, name: str, recipe: Recipe) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(name, recipe))
    base, values = read_recipe(path)
    read = RECIPES[base].with_values(values)
    assert (base, read) == (name, recipe)
    assert json.dumps(asdict(read)) == json.dumps(asdict(recipe))  # floats remain floats


def test_a_file_changes_some_values_of_the_default_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    default = RECIPES["default"]
    for text, expected in [
        ("", default),
        (
            "learning-rate = 1\nhidden-sizes = []",
            replace(default, learning_rate=1, hidden_sizes=()),
        ),
        ("augmentation = true", default),
        ("augmentation = false", replace(default, augmentation=None)),
        ("[augmentation]\nnoise = 0", replace(default, augmentation=Strength(noise=0))),
    ]:
        path.write_text(text)
        base, values = read_recipe(path)
        assert RECIPES[base].with_values(values) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 1", "expected a known key, got 'epoch': the nearest is 'epochs'"),
        ("hidden_sizes = [1]", "got 'hidden_sizes': the nearest is 'hidden-sizes'"),
        ("[augmentation]\nnoize = 1", "got 'noize': the nearest is 'noise'"),
        ("recipe = 'defualt'", "expected recipe to be one of quick, .*, got 'defualt'"),
        ("epochs = 4.0", "expected epochs to be an integer, got 4.0"),
        ("epochs = true", "expected epochs to be an integer, got True"),
        ("schedule = 1", "expected schedule to be a string, got 1"),
        ("momentum = '0.5'", "expected momentum to be a number, got '0.5'"),
        ("hidden-sizes = [1, '2']", "expected hidden-sizes to be a list of integers, got"),
        ("augmentation = 1", "expected augmentation to be true, false or a table, got 1"),
        ("[augmentation]\nshift = []", "expected shift to be a number, got"),
        ("epochs 4", "at line 1, column 8"),
        ("\x80", "can't decode byte"),
    ],
)
def test_a_wrong_file_is_rejected_by_its_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, "latin-1")
    with pytest.raises(TrainerError, match=f"recipe.toml: .*{message}"):
        read_recipe(path)


@pytest.mark.parametrize("number", ["nan", "inf", "1" + "0" * 400])
def test_numbers_out_of_range_are_rejected(tmp_path: Path, number: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f"learning-rate = {number}")
    base, values = read_recipe(path)
    with pytest.raises(TrainerError, match="expected a learning rate over 0"):
        RECIPES[base].with_values(values)
