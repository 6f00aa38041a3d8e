"""A tiny version of a model, from its two files in the corpus: of 2x3 pixels and three classes."""

from functools import cache
from pathlib import Path

from nncore.repository import MANIFEST_FILE, WEIGHTS_FILE, ModelRepository
from service.models.loaded_model import LoadedModel, load_model
from tests.fuzz.scratch import FOLDER

CORPUS = Path(__file__).with_name("corpus")
MANIFEST = (CORPUS / "manifest" / "good-published").read_bytes()
WEIGHTS = (CORPUS / "weights" / "good-published").read_bytes()
NAME, VERSION = "tiny", 1
MOST_IMAGES = 4


def write_version(manifest: bytes = MANIFEST, weights: bytes = WEIGHTS) -> ModelRepository:
    """Write a version's files, whatever they hold, into a repository of its own."""
    folder = FOLDER / "models" / NAME / str(VERSION)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).write_bytes(manifest)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    return ModelRepository(FOLDER / "models")


@cache
def served_model() -> LoadedModel:
    """Load it as the service does."""
    return load_model(write_version(), NAME, VERSION, MOST_IMAGES)
