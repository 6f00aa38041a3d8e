"""Every protocol gives the same answer to the same image, over plain HTTP."""

import http.client
import io
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from nncore.types import Array
from tests.service.clients.conftest import Served

JSON = "application/json"
SECONDS = 20


class Asked(NamedTuple):
    """What a protocol makes of images, and what it says of the version that answered."""

    probabilities: Any
    version: str


Ask = Callable[[Served, Array], Asked]


def send(
    served: Served, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(served.host, served.port, timeout=SECONDS)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def get(served: Served, path: str) -> Any:
    response, body = send(served, "GET", path)
    assert response.status == 200, body
    return json.loads(body)


def post(served: Served, path: str, body: bytes, **headers: str) -> tuple[Any, Any, bytes]:
    """Post a body; give the answer's head, its JSON, and its binary part."""
    response, answer = send(served, "POST", path, body, **headers)
    assert response.status == 200, answer
    size = int(response.headers.get("Inference-Header-Content-Length") or len(answer))
    return response.headers, json.loads(answer[:size]), answer[size:]


def inputs(levels: Array) -> Any:
    """The network's own input, as JSON holds it."""
    return (levels / 255).tolist()


def flat_inputs(levels: Array) -> Any:
    return (levels.reshape(len(levels), -1) / 255).tolist()


def ours(encode: Callable[[Array], bytes], content_type: str) -> Ask:
    def ask(served: Served, levels: Array) -> Asked:
        _, answer, _ = post(served, "/predict", encode(levels), Content_Type=content_type)
        probabilities = [prediction["probabilities"] for prediction in answer["predictions"]]
        return Asked(probabilities, f"{answer['model']}/{answer['version']}")

    return ask


def pixels_json(levels: Array) -> bytes:
    return json.dumps({"pixels": levels.tolist()}).encode()


def unit_pixels_json(levels: Array) -> bytes:
    return json.dumps({"pixels": inputs(levels), "range": [0, 1]}).encode()


def with_version_in_head(
    path: str, member: str, encode: Callable[[Array], bytes], content_type: str = JSON
) -> Ask:
    def ask(served: Served, levels: Array) -> Asked:
        where = path.format(name=served.name, version=served.version)
        head, answer, _ = post(served, where, encode(levels), Content_Type=content_type)
        return Asked(answer[member], head["X-Model-Version"])

    return ask


def member(name: str, values: Callable[[Array], Any]) -> Callable[[Array], bytes]:
    return lambda levels: json.dumps({name: values(levels)}).encode()


def named_inputs(levels: Array) -> Any:
    return {"images": inputs(levels)}


def named_instances(levels: Array) -> Any:
    return [{"images": image} for image in inputs(levels)]


def data_frame(levels: Array) -> Any:
    size = levels[0].size
    return {
        "columns": list(range(size)),
        "index": list(range(len(levels))),
        "data": flat_inputs(levels),
    }


def csv(levels: Array) -> bytes:
    lines = io.BytesIO()
    np.savetxt(lines, levels.reshape(len(levels), -1) / 255, delimiter=",")
    return lines.getvalue()


def open_inference_json(served: Served, levels: Array) -> Asked:
    tensor = {"name": "images", "shape": levels.shape, "datatype": "FP32", "data": inputs(levels)}
    body = json.dumps({"inputs": [tensor]}).encode()
    _, answer, _ = post(served, f"/v2/models/{served.name}/infer", body)
    outputs = {output["name"]: output for output in answer["outputs"]}
    probabilities = np.reshape(outputs["probabilities"]["data"], outputs["probabilities"]["shape"])
    return Asked(probabilities, f"{answer['model_name']}/{answer['model_version']}")


def open_inference_binary(datatype: str) -> Ask:
    def ask(served: Served, levels: Array) -> Asked:
        tensor = levels if datatype == "UINT8" else levels.astype("<f4") / np.float32(255)
        document = {
            "inputs": [
                {
                    "name": "images",
                    "shape": tensor.shape,
                    "datatype": datatype,
                    "parameters": {"binary_data_size": tensor.nbytes},
                }
            ],
            "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
        }
        body = json.dumps(document).encode()
        size = {"Inference_Header_Content_Length": str(len(body))}
        path = f"/v2/models/{served.name}/infer"
        _, answer, rest = post(served, path, body + tensor.tobytes(), **size)
        probabilities = np.frombuffer(rest, "<f4").reshape(answer["outputs"][0]["shape"])
        return Asked(probabilities, f"{answer['model_name']}/{answer['model_version']}")

    return ask


V1, V1_VERSION = "/v1/models/{name}:predict", "/v1/models/{name}/versions/{version}:predict"
PROTOCOLS: dict[str, Ask] = {
    "ours": ours(pixels_json, JSON),
    "ours from 0 to 1": ours(unit_pixels_json, JSON),
    "v1 instances": with_version_in_head(V1, "predictions", member("instances", inputs)),
    "v1 flat": with_version_in_head(V1, "predictions", member("instances", flat_inputs)),
    "v1 named instances": with_version_in_head(
        V1, "predictions", member("instances", named_instances)
    ),
    "v1 inputs": with_version_in_head(V1, "outputs", member("inputs", inputs)),
    "v1 named inputs": with_version_in_head(V1, "outputs", member("inputs", named_inputs)),
    "v1 version": with_version_in_head(V1_VERSION, "predictions", member("instances", inputs)),
    "MLflow instances": with_version_in_head(
        "/invocations", "predictions", member("instances", inputs)
    ),
    "MLflow inputs": with_version_in_head(
        "/invocations", "predictions", member("inputs", flat_inputs)
    ),
    "MLflow data frame": with_version_in_head(
        "/invocations", "predictions", member("dataframe_split", data_frame)
    ),
    "MLflow CSV": with_version_in_head("/invocations", "predictions", csv, "text/csv"),
    "v2 JSON": open_inference_json,
    "v2 binary": open_inference_binary("FP32"),
    "v2 grey levels": open_inference_binary("UINT8"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_answer_is_the_models_own(served: Served, levels: Array, protocol: str) -> None:
    asked = PROTOCOLS[protocol](served, levels)
    np.testing.assert_allclose(asked.probabilities, served.expected(levels), atol=1e-6, rtol=0)
    assert asked.version == f"{served.name}/{served.version}"


def test_all_answers_are_equal(served: Served, levels: Array) -> None:
    answers = [ask(served, levels).probabilities for ask in PROTOCOLS.values()]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-6, rtol=0)


def test_what_tells_of_models(served: Served) -> None:
    assert served.name in get(served, "/v1/models")["models"]
    status = get(served, f"/v1/models/{served.name}")
    assert (status["name"], status["ready"]) == (served.name, True)
    newest = status["model_version_status"][0]
    assert (newest["version"], newest["state"]) == (str(served.version), "AVAILABLE")
    assert get(served, f"/v1/models/{served.name}/versions/{served.version}")["ready"] is True
    metadata = get(served, f"/v1/models/{served.name}/metadata")
    assert metadata["model_spec"]["version"] == str(served.version)
    for path in ("/ping", "/version"):
        assert send(served, "GET", path)[0].status == 200
