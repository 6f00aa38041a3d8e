"""Triton's own client, `tritonclient[http]`, as it comes from PyPI."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from nncore.types import Array
from tests.integration.clients.conftest import Served

pytestmark = pytest.mark.slow
FORMS = pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
DATATYPES = {"float16": "FP16", "float32": "FP32", "float64": "FP64", "uint8": "UINT8"}


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    with InferenceServerClient(served.address) as client:
        yield client


def make_input(values: Array, *, binary: bool = True) -> Any:
    tensor = InferInput("images", list(values.shape), DATATYPES[values.dtype.name])
    return tensor.set_data_from_numpy(values, binary_data=binary)


def check(result: Any, expected: Array, tolerance: float = 1e-6) -> None:
    probabilities, labels = result.as_numpy("probabilities"), result.as_numpy("label")
    assert (probabilities.dtype, labels.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(probabilities, expected, atol=tolerance, rtol=0)
    np.testing.assert_array_equal(labels, expected.argmax(axis=1))


def test_health_and_metadata(client: Any, served: Served) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    for version in ("", str(served.version)):
        assert client.is_model_ready(served.name, version)
        model = client.get_model_metadata(served.name, version)
        assert str(served.version) in model["versions"]
        assert model["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 28, 28]}]
    assert not client.is_model_ready(served.name, str(served.version + 1))
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_config(served.name)["input"][0]["dims"] == [28, 28]
    entry = {"name": served.name, "version": str(served.version), "state": "READY"}
    assert entry in client.get_model_repository_index()


@pytest.mark.parametrize(
    ("binary", "dtype"),
    [(True, "float16"), (True, "float64"), (False, "float32"), (False, "uint8")],
)
def test_answers_are_the_models_own(
    client: Any, served: Served, levels: Array, binary: bool, dtype: str
) -> None:
    values = levels if dtype == "uint8" else (levels / 255).astype(dtype)
    outputs = [
        InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "label")
    ]
    tensor = make_input(values, binary=binary)
    result = client.infer(served.name, [tensor], outputs=outputs)
    check(result, served.expected(levels), 1e-3 if dtype == "float16" else 1e-6)


@FORMS
def test_classification(client: Any, served: Served, levels: Array, binary: bool) -> None:
    output = InferRequestedOutput("probabilities", binary_data=binary, class_count=3)
    texts = client.infer(served.name, [make_input(levels)], outputs=[output])
    for row, expected in zip(texts.as_numpy("probabilities"), served.expected(levels), strict=True):
        for text, index in zip(row, np.argsort(-expected)[:3], strict=True):
            number, place, label = (text.decode() if isinstance(text, bytes) else text).split(":")
            assert float(number) == pytest.approx(expected[index], abs=1e-6)
            assert (int(place), label) == (index, served.published.manifest.labels[index])


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_bodies(client: Any, served: Served, levels: Array, algorithm: str) -> None:
    algorithms = dict.fromkeys(
        ("request_compression_algorithm", "response_compression_algorithm"), algorithm
    )
    check(client.infer(served.name, [make_input(levels)], **algorithms), served.expected(levels))


def test_errors_say_what_to_do(client: Any, served: Served, levels: Array) -> None:
    for name, tensor, status, words in (
        (served.name, make_input(levels.astype(np.float32)), "400", "divide grey levels by 255"),
        (served.name, make_input(levels[:, :27]), "400", r"expected shape \[N, 28, 28\]"),
        ("nothing", make_input(levels), "404", "nothing"),
    ):
        with pytest.raises(InferenceServerException, match=words) as caught:
            client.infer(name, [tensor])
        assert caught.value.status() == status
    # The connection can still be used.
    check(client.infer(served.name, [make_input(levels)]), served.expected(levels))
