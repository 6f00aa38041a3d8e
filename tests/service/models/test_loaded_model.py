from pathlib import Path

import numpy as np
import pytest

from nncore import DamagedVersionError, ModelRepository, VersionNotFoundError
from service.serving import load_model
from tests.service.conftest import publish


def test_a_version_answers_as_its_network_does(tmp_path: Path) -> None:
    published = publish(tmp_path)
    model = load_model(ModelRepository(tmp_path), "mnist", 1, max_batch=8)
    assert (model.name, model.version) == ("mnist", 1)
    assert model.labels == list(range(10))
    images = np.random.default_rng(0).random((3, 784), np.float32)
    np.testing.assert_allclose(
        model.predict(images), published.model.predict(images).T, rtol=0, atol=1e-6
    )


def test_a_version_that_is_not_there(tmp_path: Path) -> None:
    publish(tmp_path)
    with pytest.raises(VersionNotFoundError, match="no version 7 of model 'mnist'"):
        load_model(ModelRepository(tmp_path), "mnist", 7, max_batch=8)


def test_a_damaged_version(tmp_path: Path) -> None:
    publish(tmp_path)
    weights = tmp_path / "mnist" / "1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(DamagedVersionError, match="SHA-256"):
        load_model(ModelRepository(tmp_path), "mnist", 1, max_batch=8)
