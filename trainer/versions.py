"""A published version as the command line names it: by its path."""

from pathlib import Path

from nncore.repository import ModelRepository, PublishedModel
from trainer.errors import TrainerError


def load_version(path: Path) -> PublishedModel:
    """Load `models/mnist/1`, or of `models/mnist` the newest version.

    Raises:
        TrainerError: The path is not that of a version or a model.
        RepositoryError: There is no such version, or it is damaged.
        ValueError: The folder's name cannot be a model's.
    """
    path = path.resolve()
    if not path.is_dir():
        raise TrainerError(f"expected the folder of a version, such as models/mnist/1, got {path}")
    if path.name.isdecimal():
        return ModelRepository(path.parent.parent).load(path.parent.name, int(path.name))
    return ModelRepository(path.parent).load(path.name)
