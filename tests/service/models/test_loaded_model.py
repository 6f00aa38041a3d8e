from pathlib import Path

import numpy as np
import pytest

from nncore import LinearLayer
from nncore.repository import ModelRepository
from nncore.types import Array
from service.models.loaded_model import LoadedModel, class_labels, load_model
from tests.service.conftest import check_probabilities
from tests.support.models import publish

SKIPPING = (256,)  # a first layer that is large enough to skip zeros


def load(root: Path) -> LoadedModel:
    return load_model(ModelRepository(root), "mnist", 1, max_batch=8)


@pytest.mark.parametrize("share", [0.1, 1.0], ids=["mostly zeros", "no zeros"])
def test_a_version_answers_as_its_network_does(
    tmp_path: Path, share: float, rng: np.random.Generator
) -> None:
    published = publish(tmp_path, hidden_sizes=SKIPPING)
    images = rng.random((3, 784), np.float32) * (rng.random(784) <= share).astype(np.float32)
    expected, model = published.model.predict(images).T, load(tmp_path)
    check_probabilities(model.predict(images), expected)
    check_probabilities(model.predict(images[:1]), expected[:1])


@pytest.mark.parametrize("images", [1, 2])
def test_the_probes_verify_the_path_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    publish(tmp_path, hidden_sizes=SKIPPING)
    apply = LinearLayer.apply

    def apply_wrongly(layer: LinearLayer, x: Array) -> Array:
        ans = apply(layer, x)
        return -ans if layer.skips_zeros and x.shape[1] == images else ans

    monkeypatch.setattr(LinearLayer, "apply", apply_wrongly)
    with pytest.raises(ValueError, match="probes"):
        load(tmp_path)


def test_labels_that_count_from_zero_are_numbers() -> None:
    assert class_labels(["0", "1"]) == [0, 1]
    assert class_labels(["1", "0"]) == ["1", "0"]
