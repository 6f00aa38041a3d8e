"""Nodes that a reader adds are trained, checkpointed, published and served like the others."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import nncore
from nncore import Activation, FCModel, LinearLayer, NesterovSGD, Node, SoftmaxCrossEntropy
from nncore.repository import ModelRepository
from nncore.types import Array
from service.models.loaded_model import load_model
from tests.nncore.gradient_check import check_node
from tests.support.data import toy_problem
from trainer.checkpoint import RunFolder
from trainer.cli import main
from trainer.fit import fit
from trainer.recipe import Recipe
from trainer.training_state import TrainingState


class LeakyReLU(Activation):
    def apply(self, x: Array) -> Array:
        return np.where(x > 0, x, x / 100)

    def backwards(self, g: Any) -> None:
        self.input_grad = np.where(self.x > 0, g, g / 100)


class Scale(Node):
    """Multiplies each feature by a learned factor."""

    parameter_names: ClassVar = {"factor": "factor"}

    def __init__(self, size: int) -> None:
        super().__init__()
        self.factor: Array = np.ones((size, 1), np.float32)

    def config(self) -> dict[str, Any]:
        return {"size": len(self.factor)}

    def apply(self, x: Array) -> Array:
        return x * self.factor

    def backwards(self, g: Any) -> list[Array]:
        self.input_grad = g * self.factor
        return [np.sum(g * self.x, axis=1, keepdims=True)]


@pytest.fixture(autouse=True)
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    for node in (LeakyReLU, Scale):
        monkeypatch.setattr(nncore, node.__name__, node, raising=False)
        monkeypatch.setattr(nncore, "__all__", [*nncore.__all__, node.__name__])


def linear(inputs: int, outputs: int, rng: np.random.Generator) -> LinearLayer:
    layer = LinearLayer(inputs, outputs, True, lambda *shape: np.zeros(shape, np.float32))
    layer.kaiming_init(rng)
    return layer


def test_a_chain_of_own_nodes_goes_all_the_way(tmp_path: Path, rng: np.random.Generator) -> None:
    scale = Scale(8)
    scale.factor = rng.standard_normal((8, 1))
    check_node(scale, rng.standard_normal((8, 5)), rng=rng)

    def begin() -> TrainingState:
        own = np.random.default_rng(1)
        layers = [linear(12, 8, own), Scale(8), LeakyReLU(), linear(8, 3, own)]
        model = FCModel((4, 3), layers=layers, loss=SoftmaxCrossEntropy())
        return TrainingState(model, NesterovSGD(0.02), own)

    recipe = Recipe(learning_rate=0.02, batch_size=16, epochs=4, augmentation=None)
    train, test, whole = toy_problem(), toy_problem(45, seed=9), begin()
    fit(whole, recipe, train, test)
    assert whole.history[-1].validation_accuracy == 1
    assert (whole.model.state_dict()["1.factor"] != 1).any()

    first, second = begin(), begin()
    fit(first, replace(recipe, epochs=2, schedule="constant"), train, test)
    with RunFolder(tmp_path / "checkpoints", "own", {}) as folder:
        folder.save(first)
        assert folder.restore(second)
    for name, value in first.model.state_dict().items():
        np.testing.assert_array_equal(second.model.state_dict()[name], value)

    repository, images = ModelRepository(tmp_path / "models"), test.images
    published = repository.publish(
        "own", whole.model, labels=["a", "b", "c"], probe_images=images, provenance={}, report={}
    )
    assert published.manifest.nodes[1] == {"type": "Scale", "size": 8}
    served = load_model(repository, "own", 1, max_batch=64)
    pixels = nncore.scale_pixels(images.reshape(45, 12))
    np.testing.assert_allclose(served.predict(pixels), whole.model.predict(pixels).T, atol=1e-6)
    assert (served.predict(pixels).argmax(axis=1) == test.labels).all()
    assert served.attribute(pixels, test.labels).shape == (45, 12)


def test_an_own_activation_is_an_option(tmp_path: Path) -> None:
    options = ["--dataset", "synthetic", "--epochs", "1", "--hidden-sizes", "8", "--no-augment"]
    options += ["--model-dir", str(tmp_path), "--checkpoint-dir", str(tmp_path / "checkpoints")]
    assert main([*options, "--activation", "LeakyReLU"]) == 0
    nodes = ModelRepository(tmp_path).load("synthetic").manifest.nodes
    assert [node["type"] for node in nodes] == ["LinearLayer", "LeakyReLU", "LinearLayer"]
