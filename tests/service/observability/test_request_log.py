import json
import logging

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.observability.log_format import JsonFormatter, TextFormatter
from tests.service.conftest import MakeClient

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "service.requests")


def line_of(caplog: pytest.LogCaptureFixture, formatter: logging.Formatter) -> str:
    (record,) = [record for record in caplog.records if record.name == "service.requests"]
    return formatter.format(record)


def test_a_line_describes_a_prediction_without_its_pixels(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"X-Request-ID": "order-66", "traceparent": TRACEPARENT}
    client.post("/predict", json={"pixels": np.full((5, 784), 173).tolist()}, headers=headers)
    fields = json.loads(line_of(caplog, JsonFormatter()))
    assert (fields["level"], fields["client"]) == ("info", "127.0.0.1")
    assert (fields["method"], fields["path"], fields["status"]) == ("POST", "/predict", 200)
    assert (fields["model"], fields["version"], fields["images"]) == ("mnist", 1, 5)
    assert 0 < fields["decode_ms"] + fields["predict_ms"] + fields["encode_ms"] < fields["ms"]
    assert (fields["request_id"], fields["traceparent"]) == ("order-66", TRACEPARENT)
    assert "173, 173" not in str(fields)


def test_no_response_and_no_log_line_contains_a_key(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    client, seen = make_client(api_keys=frozenset({"the-key"})), ""
    for path in ("/", "/models", "/metrics", "/openapi.json", "/docs", "/nowhere"):
        for headers in ({"X-API-Key": "the-key"}, {"Authorization": "Bearer the-wrong-key"}):
            seen += client.get(path, headers=headers).text
    seen += "".join(str(vars(record)) for record in caplog.records)
    assert "/models" in seen
    assert not any(key in seen for key in ("the-key", "the-wrong-key"))


def test_text_lines_quote_what_is_not_plain(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.get('/no where"=\u2028')
    line = line_of(caplog, TextFormatter())
    assert len(line.splitlines()) == 1
    assert " status=404 " in line
    assert 'path="/no where\\"=' in line
