"""Loading a published version by its path."""

from pathlib import Path

from nncore.repository import ModelRepository, PublishedModel
from trainer.errors import TrainerError


def load_version(path: Path) -> PublishedModel:
    """Load a version, `models/mnist/1`, or the newest version of a model, `models/mnist`.

    Raises:
        TrainerError: The path is not a folder.
        RepositoryError: The version does not exist or is damaged, or the name is invalid.
    """
    path = path.resolve()
    if not path.is_dir():
        raise TrainerError(
            f"expected the folder of a version, for example models/mnist/1, got {path}"
        )
    if path.name.isdecimal():
        return ModelRepository(path.parent.parent).load(path.parent.name, int(path.name))
    return ModelRepository(path.parent).load(path.name)
