import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from unittest.mock import Mock

import numpy as np
import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from nncore import scale_pixels
from nncore.repository import PublishedModel
from service.app import run_every
from service.inference import InferenceRecord
from service.observability.metrics import Metrics, keep_counts_of_ended_worker
from tests.service.conftest import MakeClient
from tests.support.server import DEADLINE_SECONDS

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 28, 28))
StartWorker = Callable[[int], Metrics]


def scrape(source: FlaskClient | Metrics) -> dict[tuple[str, ...], float]:
    """Return each sample's value by its name and its labels' values, ordered by label."""
    if isinstance(source, Metrics):
        text = source.expose("")[0].decode()
    else:
        text = source.get("/metrics").text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def client(make_client: MakeClient) -> FlaskClient:
    """The client of an application that no other test has counts of."""
    return make_client()


@pytest.fixture
def start_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StartWorker:
    """Return a function that maps a process id to the metrics of a worker with two images."""

    def start(process: int) -> Metrics:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: process)
            metrics = Metrics(tmp_path)
        record = InferenceRecord("mnist", 1, np.eye(2, dtype=np.float32), 0.1, 0.2, 0.3)
        metrics.count_request("/predict", "predict", 200, 0.01, record)
        metrics.in_flight = 1
        metrics.set_version("mnist", process)
        metrics.write_snapshot()
        return metrics

    return start


def test_requests_and_predictions_are_counted(
    client: FlaskClient, published: PublishedModel
) -> None:
    for images in (PIXELS, PIXELS[:2]):
        client.post("/predict", json={"pixels": images.tolist()})
    client.post("/predict", data=b"{", content_type="application/json")
    client.get("/nowhere")
    assert client.get("/metrics").content_type.startswith("text/plain")
    found, answers = scrape(client), published.model.predict(scale_pixels(PIXELS)).T
    assert found["nodestack_requests_total", "predict", "/predict", "200"] == 2
    assert found["nodestack_requests_total", "predict", "/predict", "400"] == 1
    assert found["nodestack_requests_total", "none", "none", "404"] == 1
    assert found["nodestack_request_seconds_count", "predict"] == 3
    assert found["nodestack_model_version", "mnist"] == 1
    assert found["nodestack_images_total", "mnist"] == 7
    assert found["nodestack_batch_images_bucket", "2.0", "mnist"] == 1
    both = np.concatenate([answers, answers[:2]])
    for label, count in enumerate(np.bincount(both.argmax(axis=1), minlength=10)):
        assert found.get(("nodestack_predictions_total", str(label), "mnist"), 0) == count
    confidences = both.max(axis=1)
    assert found["nodestack_confidence_sum", "mnist"] == pytest.approx(confidences.sum())
    count = np.sum(confidences <= 0.2)
    assert found["nodestack_confidence_bucket", "0.2", "mnist"] == count
    for stage in ("decode", "predict", "encode"):
        assert found["nodestack_stage_seconds_count", stage] == 2


def test_workers_add_up_and_the_counts_of_ended_ones_remain_without_their_gauges(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    remaining, *_ = start_worker(3), start_worker(4), start_worker(5)
    remaining.count_load("mnist")  # later than its snapshot
    found = scrape(remaining)
    assert found["nodestack_requests_total", "predict", "/predict", "200"] == 3
    assert found["nodestack_images_total", "mnist"] == 6
    assert found["nodestack_model_loads_total", "mnist"] == 1
    assert found["nodestack_requests_in_flight",] == 3
    assert found["nodestack_model_version", "mnist"] == 3  # the lowest
    for process in (6, 5, 4):  # 6 ended before its first snapshot
        keep_counts_of_ended_worker(tmp_path, process)
    found = scrape(remaining)
    assert found["nodestack_images_total", "mnist"] == 6
    assert found["nodestack_batch_images_count", "mnist"] == 3
    assert found["nodestack_requests_in_flight",] == 1


def test_threads_write_snapshots_at_the_same_time(start_worker: StartWorker) -> None:
    metrics = start_worker(3)

    def write_repeatedly(_: int) -> None:
        for _ in range(300):
            metrics.write_snapshot()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write_repeatedly, range(2)))


def test_memory_does_not_grow_with_the_requests(client: FlaskClient) -> None:
    def count_samples(first: int, last: int) -> int:
        for number in range(first, last):
            client.get(f"/nowhere/{number}", headers={"X-Request-ID": str(number)})
            client.get(f"/v2/models/{number}/versions/{number}")
            client.open("/models", method=f"M{number}")
        return len(scrape(client))

    count_samples(0, 1)
    assert count_samples(1, 2) == count_samples(2, 100)


def test_a_failed_call_does_not_end_the_background_thread(caplog: pytest.LogCaptureFixture) -> None:
    """Regression: one exception ended the thread that wrote the metrics for good."""
    called_again = Event()
    outcomes = Mock(side_effect=[MemoryError, None])

    def refresh() -> None:
        outcomes()
        called_again.set()
        Event().wait()

    run_every(0.001, refresh)
    assert called_again.wait(DEADLINE_SECONDS)
    assert "MemoryError" in caplog.text
