"""Every protocol returns the same probabilities for the same image, over plain HTTP."""

import json
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

from nncore.types import Array
from tests.integration.clients.conftest import Served

JSON, CSV = "application/json", "text/csv"
V1, V2 = "/v1/models/{name}:predict", "/v2/models/{name}/infer"
V1_VERSION = "/v1/models/{name}/versions/{version}:predict"


def unit(levels: Array) -> Any:
    return (levels / 255).tolist()


def flat(levels: Array) -> Any:
    return unit(levels.reshape(len(levels), -1))


def csv(levels: Array) -> bytes:
    return "\n".join(",".join(map(str, image)) for image in flat(levels)).encode()


def tensor(levels: Array, datatype: str, **members: Any) -> Any:
    one = {"name": "images", "shape": levels.shape, "datatype": datatype, **members}
    return {"inputs": [one], "outputs": [{"name": "probabilities"}]}


CASES: dict[str, tuple[str, str, Callable[[Array], Any]]] = {
    "predict": ("/predict", JSON, lambda x: {"pixels": x.tolist()}),
    "predict 0 to 1": ("/predict", JSON, lambda x: {"pixels": unit(x), "range": [0, 1]}),
    "predict raw": ("/predict", "application/octet-stream", lambda x: x.tobytes()),
    "v1 instances": (V1, JSON, lambda x: {"instances": unit(x)}),
    "v1 named": (V1, JSON, lambda x: {"instances": [{"images": one} for one in unit(x)]}),
    "v1 inputs": (V1_VERSION, JSON, lambda x: {"inputs": flat(x)}),
    "mlflow instances": ("/invocations", JSON, lambda x: {"instances": unit(x)}),
    "mlflow data frame": ("/invocations", JSON, lambda x: {"dataframe_split": {"data": flat(x)}}),
    "mlflow csv": ("/invocations", CSV, csv),
    "v2 FP32": (V2, JSON, lambda x: tensor(x, "FP32", data=unit(x))),
    "v2 UINT8": (V2, JSON, lambda x: tensor(x, "UINT8", data=x.tolist())),
}


@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_the_models_own(served: Served, levels: Array, case: str) -> None:
    path, content_type, encode = CASES[case]
    body = encode(levels)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = served.url + path.format(name=served.name, version=served.version)
    with urlopen(Request(url, data, {"Content-Type": content_type}), timeout=20) as response:
        answer, version = json.load(response), response.headers["X-Model-Version"]
    rows: Any
    if path == "/predict":
        rows = [one["probabilities"] for one in answer["predictions"]]
        version = f"{answer['model']}/{answer['version']}"
    elif path == V2:
        rows = np.reshape(answer["outputs"][0]["data"], answer["outputs"][0]["shape"])
        version = f"{answer['model_name']}/{answer['model_version']}"
    else:
        rows = answer.get("predictions") or answer["outputs"]
    np.testing.assert_allclose(rows, served.expected(levels), atol=1e-6, rtol=0)
    assert version == f"{served.name}/{served.version}"
