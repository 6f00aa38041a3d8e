"""The ONNX export: onnxruntime returns the probabilities of the network."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from nncore import FCModel
from nncore.repository import ModelRepository, PublishedModel
from trainer.errors import TrainerError
from trainer.onnx_export import to_onnx

LABELS = ["cat", "chat", "кот", '"']


def publish(
    root: Path, input_shape: Sequence[int] = (2, 3), hidden_sizes: Sequence[int] = (4,)
) -> PublishedModel:
    """Publish a network with random weights and biases."""
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


@pytest.mark.parametrize("hidden_sizes", [(), (12, 7, 8)])
@pytest.mark.parametrize("input_shape", [(28, 28), (6,), (2, 3, 4)])
def test_the_export_returns_the_probabilities_of_the_network(
    tmp_path: Path, input_shape: tuple[int, ...], hidden_sizes: tuple[int, ...]
) -> None:
    published = publish(tmp_path, input_shape, hidden_sizes)
    runtime = session(to_onnx(published))
    (pixels,), (probabilities,) = runtime.get_inputs(), runtime.get_outputs()
    assert (pixels.name, pixels.shape) == ("pixels", ["batch", *input_shape])
    assert (probabilities.name, probabilities.shape) == ("probabilities", ["batch", len(LABELS)])
    for batch in (1, 300):
        images = np.random.default_rng(batch).random((batch, *input_shape), np.float32)
        (answers,) = runtime.run(["probabilities"], {"pixels": images})
        assert answers.dtype == np.float32
        np.testing.assert_allclose(answers, published.model.predict(images).T, rtol=0, atol=1e-5)


def test_the_metadata_identify_the_version_and_the_weights_keep_their_names(tmp_path: Path) -> None:
    publish(tmp_path)
    published = publish(tmp_path)
    content = to_onnx(published)
    metadata = session(content).get_modelmeta().custom_metadata_map
    assert json.loads(metadata.pop("labels")) == LABELS
    assert metadata == {"name": "pets", "version": "2", "sha256": published.manifest.sha256}
    tensors = onnx.load_from_string(content).graph.initializer
    assert [tensor.name for tensor in tensors] == list(published.model.state_dict())


def test_without_the_extra_the_error_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = publish(tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(TrainerError, match="pip install"):
        to_onnx(published)
