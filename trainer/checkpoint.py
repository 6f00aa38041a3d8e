"""Checkpoints: the state of a run after its last epoch, and the weights of its best epoch.

The folder of a run holds `checkpoint.safetensors`: weights, optimizer state, random state, history,
and the weights of the best epoch. It is replaced atomically at the end of an epoch.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nncore.repository.files import locked, open_lock_file, replace_durably
from nncore.types import Array
from trainer.errors import TrainerError
from trainer.history import EpochRecord
from trainer.training_state import TrainingState

CHECKPOINT_FILE = "checkpoint.safetensors"


class RunFolder:
    """The checkpoint folder of one run, locked by its process; a context manager.

    Its name consists of the model, a digest of the identity, and a number: of several processes
    with the same run, the first locks folder 1, the next folder 2. The locked file is beside it.

    Args:
        root: The folder of all runs.
        model_name: The model to publish.
        identity: Everything that an epoch of the run depends on, JSON values.

    Attributes:
        path: The folder.

    Raises:
        OSError: The folder cannot be created.
    """

    def __init__(self, root: Path, model_name: str, identity: Mapping[str, Any]) -> None:
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        with locked(root):
            for number in count(1):
                self.path = root / f"{model_name}-{digest[:12]}-{number}"
                self.path.mkdir(exist_ok=True)
                self._lock_file = root / f".{self.path.name}.lock"
                self._descriptor = open_lock_file(self._lock_file)
                try:
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Unlock the folder, and remove it if it is empty."""
        with locked(self._root):
            os.close(self._descriptor)
            self._lock_file.unlink(missing_ok=True)
            if not any(self.path.iterdir()):
                self.path.rmdir()

    def clear(self) -> None:
        """Remove the checkpoint, and files of a killed writer."""
        for path in self.path.iterdir():
            path.unlink()

    def save(self, state: TrainingState) -> None:
        """Save a state, after an epoch.

        Raises:
            OSError: Writing failed; the previous checkpoint is unchanged.
        """
        metadata = {
            "history": json.dumps([asdict(record) for record in state.history]),
            "rng": json.dumps(state.rng.bit_generator.state),
        }
        best = {f"best.{name}": value for name, value in (state.best_weights or {}).items()}
        tensors = {k: np.ascontiguousarray(v) for k, v in {**_tensors(state), **best}.items()}
        replace_durably(self.path / CHECKPOINT_FILE, save(tensors, metadata))

    def restore(self, state: TrainingState) -> bool:
        """Restore the checkpoint into a new state.

        Returns:
            Whether there was a checkpoint.

        Raises:
            TrainerError: The checkpoint is damaged.
        """
        path = self.path / CHECKPOINT_FILE
        if not path.exists():
            return False
        try:
            with safe_open(path, framework="np") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata()
            best_weights = {name: tensors[f"best.{name}"] for name in state.model.state_dict()}
            state.model.load_state_dict(best_weights)  # checks the shapes
            for name, value in _tensors(state).items():
                value[...] = tensors[name]
            state.rng.bit_generator.state = json.loads(metadata["rng"])
            state.history = [EpochRecord(**entry) for entry in json.loads(metadata["history"])]
            state.best_weights = best_weights
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise TrainerError(
                f"expected a checkpoint in {self.path}, got {error!r}: "
                "remove the folder or train without --resume"
            ) from error
        return True


def _tensors(state: TrainingState) -> dict[str, Array]:
    """Return views of the arrays of a state, by name."""
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    for number, layer in enumerate(state.model.layers):
        for position, array in enumerate(state.optimizer.state(layer)):
            tensors[f"optimizer.{number}.{position}"] = array
    return tensors
