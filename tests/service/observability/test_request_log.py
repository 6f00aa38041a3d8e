"""What is told of each request: id, log line, figures."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from nncore import PublishedModel, scale_pixels
from service.logs import JsonFormatter, TextFormatter
from service.metrics import _in_steps
from service.settings import Settings
from tests.service.conftest import make_app

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 28, 28))
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def predict(client: FlaskClient, images: Any = PIXELS, **headers: str) -> Any:
    return client.post(
        "/predict", json={"pixels": np.asarray(images).tolist()}, headers=list(headers.items())
    )


def line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Give the one line of the log that a request has left, as JSON."""
    (record,) = [record for record in caplog.records if record.name == "service.requests"]
    document: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return document


@pytest.fixture(autouse=True)
def see_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "service.requests")


def test_a_line_tells_of_a_prediction(
    client: FlaskClient, published: PublishedModel, caplog: pytest.LogCaptureFixture
) -> None:
    assert predict(client).status_code == 200
    told = line(caplog)
    assert told["level"] == "info"
    assert (told["method"], told["path"], told["status"]) == ("POST", "/predict", 200)
    assert (told["model"], told["version"], told["images"]) == ("mnist", 1, 5)
    stages = told["decode_ms"] + told["predict_ms"] + told["encode_ms"]
    assert 0 < stages < told["ms"]


def test_a_line_holds_no_pixels(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    predict(client, np.full((28, 28), 173))
    assert "173, 173" not in str(line(caplog))
    assert len(str(line(caplog))) < 600


@pytest.mark.parametrize("path", ["/health", "/health/live", "/metrics"])
def test_watchers_are_told_of_only_to_who_wants_everything(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    client.get(path)
    assert line(caplog)["level"] == "debug"


def test_a_failure_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = make_app(Settings(model_dir=str(tmp_path))).test_client()
    assert predict(client).status_code == 503
    assert "make train" in line(caplog)["error"]


def test_the_request_s_id_is_the_client_s_own(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = predict(client, **{"X-Request-ID": "order-66"})
    assert answer.headers["X-Request-ID"] == "order-66"
    assert line(caplog)["request_id"] == "order-66"


@pytest.mark.parametrize("given", [None, "", "two words", "é", "x" * 129])
def test_without_a_good_one_an_id_is_made(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, given: str | None
) -> None:
    answer = predict(client, **{} if given is None else {"X-Request-ID": given})
    made = answer.headers["X-Request-ID"]
    assert made != given
    assert len(made) == 32
    assert line(caplog)["request_id"] == made


@pytest.mark.parametrize("path", ["/nowhere", "/v2/nowhere"])
def test_an_error_carries_the_id(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.get_json()["request_id"] == answer.headers["X-Request-ID"]


def test_traceparent_goes_into_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    predict(client, traceparent=TRACEPARENT)
    assert line(caplog)["traceparent"] == TRACEPARENT


def test_text_for_people(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    client.get('/no where"=\u2028')
    (record,) = [record for record in caplog.records if record.name == "service.requests"]
    text = TextFormatter().format(record)
    assert len(text.splitlines()) == 1
    assert "INFO" in text
    assert " status=404 " in text
    assert 'path="/no where\\"=' in text


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_traceback_is_kept(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "x", 1, "it %s", ("fails",), (type(error), error, None)
        )
    text = formatter.format(record)
    assert "it fails" in text
    assert "ValueError: broken" in text


def samples(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Scrape: the value of each sample by its name and its labels' values, ordered by label."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_figures_of_requests(client: FlaskClient) -> None:
    for _ in range(3):
        predict(client)
    client.post("/predict", data=b"{", content_type="application/json")
    client.get("/nowhere")
    found = samples(client)
    assert found["nodestack_requests_total", "predict", "/predict", "200"] == 3
    assert found["nodestack_requests_total", "predict", "/predict", "400"] == 1
    assert found["nodestack_requests_total", "none", "none", "404"] == 1
    assert found["nodestack_request_seconds_count", "predict"] == 4
    assert 0 < found["nodestack_request_seconds_sum", "predict"] < 10
    assert found["nodestack_requests_in_flight",] == 1


def test_the_figures_of_predictions(client: FlaskClient, published: PublishedModel) -> None:
    predict(client)
    predict(client, PIXELS[:2])
    found = samples(client)
    answers = published.model.predict(scale_pixels(PIXELS))
    both = np.concatenate([answers, answers[:, :2]], axis=1)
    assert found["nodestack_images_total", "mnist"] == 7
    assert found["nodestack_batch_images_count", "mnist"] == 2
    assert found["nodestack_batch_images_sum", "mnist"] == 7
    assert found["nodestack_batch_images_bucket", "2.0", "mnist"] == 1
    assert found["nodestack_batch_images_bucket", "8.0", "mnist"] == 2
    for label, count in enumerate(np.bincount(both.argmax(axis=0), minlength=10)):
        assert found.get(("nodestack_predictions_total", str(label), "mnist"), 0) == count
    assert found["nodestack_confidence_count", "mnist"] == 7
    assert found["nodestack_confidence_sum", "mnist"] == pytest.approx(both.max(axis=0).sum())
    for bound in (0.2, 0.5, 1.0):
        expected = np.sum(both.max(axis=0) <= bound)
        assert found["nodestack_confidence_bucket", str(bound), "mnist"] == expected
    for stage in ("decode", "predict", "encode"):
        assert found["nodestack_stage_seconds_count", stage] == 2


def test_the_figures_of_models(client: FlaskClient, app: Flask) -> None:
    found = samples(client)
    assert found["nodestack_model_version", "mnist"] == 1
    assert found["nodestack_model_loads_total", "mnist"] == 1


def test_openmetrics_for_who_asks(client: FlaskClient) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.content_type.startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    "accept", ["text/plain; version=x", "application/openmetrics-text; version=ab"]
)
def test_a_version_that_is_none_gets_the_plain_form(client: FlaskClient, accept: str) -> None:
    answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")


def test_a_scrape_is_made_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now, steps = [100.0], list[float]()
    monkeypatch.setattr("service.metrics.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("service.metrics.let_others_go_first", lambda: steps.append(now[0]))

    def files() -> Iterator[int]:
        for number in range(8):
            now[0] += 0.00008
            yield number

    assert list(_in_steps(files())) == list(range(8))
    assert steps == pytest.approx([100.00024, 100.00048], rel=0, abs=1e-9)
