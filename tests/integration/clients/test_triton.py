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
DATATYPES = {"float16": "FP16", "float32": "FP32", "float64": "FP64", "uint8": "UINT8"}


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    with InferenceServerClient(served.url.removeprefix("http://")) as client:
        yield client


def make_input(values: Array, *, binary: bool = True) -> Any:
    tensor = InferInput("images", list(values.shape), DATATYPES[values.dtype.name])
    return tensor.set_data_from_numpy(values, binary_data=binary)


def test_health_and_metadata(client: Any, served: Served) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(served.name, str(served.version))
    assert not client.is_model_ready(served.name, str(served.version + 1))
    model = client.get_model_metadata(served.name)
    assert model["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 28, 28]}]
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_config(served.name)["input"][0]["dims"] == [28, 28]
    entry = {"name": served.name, "version": str(served.version), "state": "READY"}
    assert entry in client.get_model_repository_index()


@pytest.mark.parametrize(
    ("binary", "dtype", "algorithm"),
    [
        (True, "float16", None),
        (True, "float64", "gzip"),
        (False, "float32", "deflate"),
        (False, "uint8", None),
    ],
)
def test_answers_are_the_models_own(
    client: Any, served: Served, levels: Array, binary: bool, dtype: str, algorithm: str | None
) -> None:
    values = levels if dtype == "uint8" else (levels / 255).astype(dtype)
    result = client.infer(
        served.name,
        [make_input(values, binary=binary)],
        outputs=[InferRequestedOutput(n, binary_data=binary) for n in ("probabilities", "label")],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    expected, tolerance = served.expected(levels), 1e-3 if dtype == "float16" else 1e-6
    probabilities = result.as_numpy("probabilities")
    np.testing.assert_allclose(probabilities, expected, atol=tolerance, rtol=0)
    np.testing.assert_array_equal(result.as_numpy("label"), expected.argmax(axis=1))
    classes = InferRequestedOutput("probabilities", binary_data=binary, class_count=3)
    texts = client.infer(served.name, [make_input(levels)], outputs=[classes])
    for row, answer in zip(texts.as_numpy("probabilities"), expected, strict=True):
        for text, place in zip(row, np.argsort(-answer)[:3], strict=True):
            number, *rest = (text.decode() if isinstance(text, bytes) else text).split(":")
            assert float(number) == pytest.approx(answer[place], abs=1e-6)
            assert rest == [str(place), served.published.manifest.labels[place]]


def test_errors_say_what_to_do(client: Any, served: Served, levels: Array) -> None:
    tensor = make_input(levels.astype(np.float32))
    with pytest.raises(InferenceServerException, match="divide grey levels by 255") as caught:
        client.infer(served.name, [tensor])
    assert caught.value.status() == "400"
