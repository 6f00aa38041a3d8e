"""The export: another runtime answers as the network does."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from nncore import FCModel, scale_pixels
from nncore.repository import ModelRepository, PublishedModel
from nncore.types import Array
from trainer.errors import TrainerError
from trainer.onnx_export import to_onnx

ROOT = Path(__file__).parent.parent.parent
SHAPES = [(28, 28), (6,), (2, 3, 4)]
HIDDEN_SIZES: list[tuple[int, ...]] = [(), (9,), (12, 7, 8)]
LABELS = ["cat", "chat", "кот", '"']


def publish(
    root: Path, input_shape: Sequence[int] = (2, 3), hidden_sizes: Sequence[int] = (4,)
) -> PublishedModel:
    """Publish a network of random weights and biases."""
    rng = np.random.default_rng(1)
    model = FCModel(input_shape, hidden_sizes, len(LABELS), rng=rng)
    for name, value in model.state_dict().items():
        if name.endswith(".bias"):
            value[...] = rng.standard_normal(value.shape)
    return ModelRepository(root).publish(
        "pets",
        model,
        labels=LABELS,
        probe_images=rng.integers(0, 256, (2, *input_shape), dtype=np.uint8),
        provenance={},
        report={},
    )


def session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def assert_same_answers(published: PublishedModel, runtime: Any, images: Array) -> None:
    (answers,) = runtime.run(["probabilities"], {"pixels": images})
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, published.model.predict(images).T, rtol=0, atol=1e-5)


@pytest.mark.parametrize("hidden_sizes", HIDDEN_SIZES)
@pytest.mark.parametrize("input_shape", SHAPES)
def test_it_answers_as_the_network(
    tmp_path: Path, input_shape: tuple[int, ...], hidden_sizes: tuple[int, ...]
) -> None:
    published = publish(tmp_path, input_shape, hidden_sizes)
    runtime = session(to_onnx(published))
    for batch in (1, 7, 300):
        images = np.random.default_rng(batch).random((batch, *input_shape), np.float32)
        assert_same_answers(published, runtime, images)


def test_the_shipped_network_answers_its_probes() -> None:
    published = ModelRepository(ROOT / "models").load("mnist", 1)
    manifest = published.manifest
    pixels = np.array([probe.pixels for probe in manifest.probes], np.uint8)
    images = scale_pixels(pixels.reshape(-1, *manifest.input_shape))
    runtime = session(to_onnx(published))
    assert_same_answers(published, runtime, images)
    (answers,) = runtime.run(None, {"pixels": images})
    expected = [probe.probabilities for probe in manifest.probes]
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-5)


def test_the_metadata_tell_what_it_is(tmp_path: Path) -> None:
    publish(tmp_path)
    published = publish(tmp_path)
    meta = session(to_onnx(published)).get_modelmeta()
    metadata = meta.custom_metadata_map
    assert json.loads(metadata.pop("labels")) == LABELS
    assert metadata == {"name": "pets", "version": "2", "sha256": published.manifest.sha256}
    assert meta.version == 2
    assert "pets" in meta.description


def test_the_weights_are_those_of_the_network_under_their_names(tmp_path: Path) -> None:
    published = publish(tmp_path)
    graph = onnx.load_from_string(to_onnx(published)).graph
    exported = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = published.model.state_dict()
    assert list(exported) == list(state) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for name, value in state.items():
        np.testing.assert_array_equal(exported[name], value, strict=True)


def test_without_the_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = publish(tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(TrainerError, match=r"expected the package onnx .*, got .*: .*pip install"):
        to_onnx(published)
