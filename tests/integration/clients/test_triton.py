"""Triton's own client, `tritonclient[http]`, as it comes from PyPI."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from nncore import scale_pixels
from nncore.types import Array
from tests.service.clients.conftest import Served

FORMS = pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    with InferenceServerClient(f"{served.host}:{served.port}") as client:
        yield client


def make_input(values: Array, *, binary: bool = True) -> Any:
    datatype = {"float32": "FP32", "float16": "FP16", "float64": "FP64", "uint8": "UINT8"}
    tensor = InferInput("images", list(values.shape), datatype[values.dtype.name])
    return tensor.set_data_from_numpy(values, binary_data=binary)


def make_outputs(*, binary: bool) -> list[Any]:
    return [InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "label")]


def check(result: Any, expected: Array) -> None:
    probabilities, labels = result.as_numpy("probabilities"), result.as_numpy("label")
    assert (probabilities.dtype, labels.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(labels, expected.argmax(axis=1))


def test_health(client: Any, served: Served) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(served.name)
    assert client.is_model_ready(served.name, str(served.version))
    assert not client.is_model_ready(served.name, str(served.version + 1))
    assert not client.is_model_ready("none-of-this-name")


def test_metadata(client: Any, served: Served) -> None:
    server = client.get_server_metadata()
    assert server["name"] == "nodestack"
    assert "binary_tensor_data" in server["extensions"]
    for version in ("", str(served.version)):
        model = client.get_model_metadata(served.name, version)
        assert model["name"] == served.name
        assert str(served.version) in model["versions"]
        assert model["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 28, 28]}]
        assert [output["name"] for output in model["outputs"]] == ["probabilities", "label"]
    assert client.get_model_config(served.name)["input"][0]["dims"] == [28, 28]
    entry = {"name": served.name, "version": str(served.version), "state": "READY"}
    assert entry in client.get_model_repository_index()


@FORMS
@pytest.mark.parametrize("binary_output", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("shape", [(-1, 28, 28), (-1, 784)], ids=["3x28x28", "3x784"])
def test_answers_are_the_models_own(
    client: Any,
    served: Served,
    levels: Array,
    binary: bool,
    binary_output: bool,
    dtype: str,
    shape: tuple[int, ...],
) -> None:
    values = levels if dtype == "uint8" else (levels / 255).astype(dtype)
    tensor = make_input(values.reshape(shape), binary=binary)
    result = client.infer(served.name, [tensor], outputs=make_outputs(binary=binary_output))
    check(result, served.expected(levels))


def test_all_outputs_come_when_none_is_named(client: Any, served: Served, levels: Array) -> None:
    result = client.infer(served.name, [make_input(scale_pixels(levels))], request_id="seven")
    check(result, served.expected(levels))
    answer = result.get_response()
    assert (answer["id"], answer["model_name"]) == ("seven", served.name)
    assert answer["model_version"] == str(served.version)


def test_half_precision(client: Any, served: Served, levels: Array) -> None:
    halves = scale_pixels(levels).astype(np.float16)
    result = client.infer(served.name, [make_input(halves)])
    check(result, served.published.model.predict(halves.astype(np.float32)).T)


def test_every_version_answers(client: Any, served: Served, levels: Array) -> None:
    for version in served.repository.versions(served.name):
        result = client.infer(served.name, [make_input(levels)], model_version=str(version))
        assert result.get_response()["model_version"] == str(version)
        model = served.repository.load(served.name, version).model
        check(result, model.predict(scale_pixels(levels)).T)


@FORMS
def test_classification(client: Any, served: Served, levels: Array, binary: bool) -> None:
    output = InferRequestedOutput("probabilities", binary_data=binary, class_count=3)
    result = client.infer(served.name, [make_input(levels)], outputs=[output])
    texts = result.as_numpy("probabilities")
    assert texts.shape == (3, 3)
    for row, expected in zip(texts, served.expected(levels), strict=True):
        for text, index in zip(row, np.argsort(-expected)[:3], strict=True):
            words = text.decode() if isinstance(text, bytes) else text
            number, place, label = words.split(":")
            assert float(number) == pytest.approx(expected[index], abs=1e-6)
            assert int(place) == index
            assert label == served.published.manifest.labels[index]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@FORMS
def test_compressed_bodies(
    client: Any, served: Served, levels: Array, algorithm: str, binary: bool
) -> None:
    result = client.infer(
        served.name,
        [make_input(levels, binary=binary)],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    check(result, served.expected(levels))


def test_requests_at_the_same_time(served: Served, levels: Array) -> None:
    expected = served.expected(levels)
    with InferenceServerClient(f"{served.host}:{served.port}", concurrency=4) as client:
        pending = [
            client.async_infer(served.name, [make_input(image[None])], request_id=str(index))
            for index, image in enumerate([*levels] * 4)
        ]
        for index, request in enumerate(pending):
            result = request.get_result(timeout=20)
            assert result.get_response()["id"] == str(index)
            check(result, expected[index % 3 : index % 3 + 1])


def test_errors_say_what_to_do(client: Any, served: Served, levels: Array) -> None:
    wrong_name = InferInput("pixels", [1, 784], "UINT8")
    wrong_name.set_data_from_numpy(levels[:1].reshape(1, 784))
    for tensor, words in (
        (wrong_name, 'expected an input of name images, got "pixels"'),
        (make_input(levels.astype(np.float32)), "send pixels / 255, or UINT8 from 0 to 255"),
        (make_input(levels[:, :27]), r"expected shape \[N, 28, 28\] or \[N, 784\]"),
    ):
        with pytest.raises(InferenceServerException, match=words) as caught:
            client.infer(served.name, [tensor])
        assert caught.value.status() == "400"
    with pytest.raises(InferenceServerException, match="expected output probabilities or label"):
        client.infer(served.name, [make_input(levels)], outputs=[InferRequestedOutput("logits")])
    # The connection is as good as new.
    check(client.infer(served.name, [make_input(levels)]), served.expected(levels))


def test_a_model_that_is_not_there(client: Any, served: Served, levels: Array) -> None:
    no_model = pytest.raises(InferenceServerException, match="expected a model that is there")
    with no_model as caught:
        client.infer("nothing", [make_input(levels)])
    assert caught.value.status() == "404"
    with no_model as caught:
        client.get_model_metadata("nothing")
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="expected a version"):
        client.infer(served.name, [make_input(levels)], model_version="01")
