"""Versions that come and go while the service answers, over a socket, in several workers."""

import http.client
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncore import scale_pixels
from nncore.repository import ModelRepository
from nncore.types import Array
from tests.support.load import Load, Request
from tests.support.models import publish
from tests.support.server import JSON, Service, running, wait_until

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 28, 28))
BODY = json.dumps({"pixels": PIXELS.tolist()}).encode()
PUBLISHES = 30
WORKERS = 2


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    publish(tmp_path / "models")
    settings = {"WEB_CONCURRENCY": str(WORKERS), "RELOAD_SECONDS": "0.05"}
    with running(tmp_path / "models", tmp_path / "log", settings) as service:
        wait_until(lambda: service.log.read_text().count("ready: ") == WORKERS, "every worker")
        yield service


def figures(service: Service) -> dict[str, float]:
    """Scrape: each sample's value by what stands before it."""
    lines = service.send("/metrics")[2].decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def version_of_all_workers(service: Service) -> float:
    return figures(service).get('nodestack_model_version{model="mnist"}', 0)


@contextmanager
def load(service: Service) -> Iterator[list[dict[str, Any]]]:
    """Send requests meanwhile; the list holds every answer at the end."""
    answers: list[dict[str, Any]] = []
    request = Request("/predict", BODY, JSON, lambda _, body: answers.append(json.loads(body)))
    with Load(service.port, [request], connections=4) as clients:
        yield answers
    assert {reply.status for reply in clients.replies} == {http.HTTPStatus.OK}


def has_answered(answers: list[dict[str, Any]], version: int) -> bool:
    return any(answer["version"] == version for answer in answers[-20:])


def check_answers(answers: list[dict[str, Any]], expected: dict[int, Array]) -> None:
    """Check that every answer is that of the version it names."""
    assert answers
    for answer in answers:
        got = [prediction["probabilities"] for prediction in answer["predictions"]]
        np.testing.assert_allclose(got, expected[answer["version"]], rtol=0, atol=1e-6)


def test_no_request_fails_by_a_swap(service: Service, tmp_path: Path) -> None:
    images = scale_pixels(PIXELS)
    models = tmp_path / "models"
    expected = {1: ModelRepository(models).load("mnist").model.predict(images).T}
    with load(service) as answers:
        for seed in range(1, PUBLISHES + 1):
            published = publish(models, seed=seed)
            expected[published.manifest.version] = published.model.predict(images).T
            if seed % 5 == 0:
                shutil.rmtree(models / "mnist" / str(seed - 3))
                latest = partial(has_answered, answers, published.manifest.version)
                wait_until(latest, "the latest version to answer")
        wait_until(
            lambda: version_of_all_workers(service) == PUBLISHES + 1, "all to have the last version"
        )
    check_answers(answers, expected)
    assert len({answer["version"] for answer in answers}) > 5


def test_damaged_and_removed_versions_are_not_served(service: Service, tmp_path: Path) -> None:
    models = tmp_path / "models"
    network = ModelRepository(models).load("mnist").model
    for seed in (0, 1):
        publish(tmp_path / "elsewhere", seed=seed)
    damaged = tmp_path / "elsewhere" / "mnist" / "2"
    weights = bytearray((damaged / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (damaged / "model.safetensors").write_bytes(weights)
    refusals = 'nodestack_model_refusals_total{model="mnist"}'
    with load(service) as answers:
        damaged.rename(models / "mnist" / "2")
        (models / "mnist" / "3").write_text("a file, not a folder")
        (models / "mnist" / "4").symlink_to("4")
        wait_until(lambda: figures(service).get(refusals, 0) >= 3 * WORKERS, "refusals")
        settled = len(answers)
        wait_until(lambda: len(answers) > settled + 100, "more answers")
    check_answers(answers, {1: network.predict(scale_pixels(PIXELS)).T})
    assert figures(service)[refusals] == 3 * WORKERS  # each once in each worker
    (model,) = service.ask("/models")[1]["models"]
    assert model["current"] == 1
    states = {version["version"]: version["state"] for version in model["versions"]}
    assert states == {1: "loaded", 2: "refused", 3: "refused", 4: "refused"}
    assert "SHA-256" in model["versions"][1]["reason"]

    publish(models, seed=2)
    wait_until(lambda: version_of_all_workers(service) == 5, "the sound version")
    shutil.rmtree(models / "mnist" / "5")
    wait_until(lambda: version_of_all_workers(service) == 1, "a rollback")
    shutil.rmtree(models / "mnist")
    wait_until(lambda: service.ask("/health/ready")[0] == 503, "no model to be ready with")
    publish(models)
    wait_until(lambda: version_of_all_workers(service) == 1, "a model again")


def test_the_figures_add_up_over_workers_and_survive_them(service: Service) -> None:
    counted = 'nodestack_requests_total{protocol="predict",route="/predict",status="200"}'
    with load(service) as answers:
        wait_until(lambda: len(answers) > 200, "answers")
    wait_until(lambda: figures(service).get(counted) == len(answers), "every answer to be counted")
    wait_until(lambda: figures(service)["nodestack_requests_in_flight"] == 1, "the scrape alone")
    assert figures(service)['nodestack_images_total{model="mnist"}'] == 3 * len(answers)

    os.kill(service.workers[0], signal.SIGKILL)
    ready = "ready: model mnist version 1"
    wait_until(lambda: service.log.read_text().count(ready) == 3, "another worker")
    assert figures(service)[counted] == len(answers)
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: service.log.read_text().count("Worker exiting") == WORKERS, "the restart")
    assert figures(service)[counted] == len(answers)
    wait_until(lambda: version_of_all_workers(service) == 1, "the new workers' figures")
