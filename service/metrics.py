"""The figures that Prometheus scrapes, right whichever of the workers answers.

With several workers each keeps its figures in files of `PROMETHEUS_MULTIPROC_DIR`, which
`service/gunicorn_conf.py` sets, and a scrape adds them up. Without it they stay in this process.
"""

from __future__ import annotations

import os
import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from nncore.types import Array
from service.waiting import let_others_go_first

if TYPE_CHECKING:
    from service.observation import Inference

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_CONFIDENCES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1)
_FLUSH_SECONDS = 0.25
# The next figure may take a millisecond more: a large histogram of all workers.
_STEP_SECONDS = 0.0002

T = TypeVar("T")


class _Histogram(Histogram):
    """A histogram that takes many values for the price of one."""

    def observe_all(self, values: Array) -> None:
        """Observe each of the values, `(count,)`."""
        # Bucket i counts what is over bound i - 1 and at most bound i; a scrape sums them up.
        at = np.searchsorted(self._upper_bounds, values)
        for bucket, count in zip(self._buckets, np.bincount(at).tolist(), strict=False):
            if count:
                bucket.inc(count)
        self._sum.inc(float(values.sum(dtype=np.float64)))


class Metrics:
    """Counts what happens; what a request adds is put by and worked in a few times a second.

    Attributes:
        in_flight: The requests that this process is answering.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self._requests: Tally[tuple[str, str, int]] = Tally()
        self._durations: dict[str, list[float]] = {}
        self._inferences: list[tuple[Inference, Array, Array]] = []
        self._registry = registry = CollectorRegistry()
        self._request_count = Counter(
            "nodestack_requests",
            "Requests answered.",
            ["route", "protocol", "status"],
            registry=registry,
        )
        self._request_seconds = _Histogram(
            "nodestack_request_seconds",
            "Seconds from a request's head to its answer.",
            ["protocol"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._in_flight_gauge = Gauge(
            "nodestack_requests_in_flight",
            "Requests being answered.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._image_count = Counter(
            "nodestack_images", "Images classified.", ["model"], registry=registry
        )
        self._batch_images = _Histogram(
            "nodestack_batch_images",
            "Images in a request.",
            ["model"],
            buckets=_IMAGES,
            registry=registry,
        )
        self._stage_seconds = _Histogram(
            "nodestack_stage_seconds",
            "Seconds that a request spent being decoded, predicted and encoded.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._label_count = Counter(
            "nodestack_predictions",
            "Images by the label that they were given.",
            ["model", "label"],
            registry=registry,
        )
        self._confidence = _Histogram(
            "nodestack_confidence",
            "The probability of the label that an image was given.",
            ["model"],
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self._version = Gauge(
            "nodestack_model_version",
            "The version that answers; of several workers', the lowest.",
            ["model"],
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._load_count = Counter(
            "nodestack_model_loads", "Versions loaded.", ["model"], registry=registry
        )
        self._refusal_count = Counter(
            "nodestack_model_refusals",
            "Versions refused because they are not sound.",
            ["model"],
            registry=registry,
        )

    def count(
        self, route: str, protocol: str, status: int, seconds: float, inference: Inference | None
    ) -> None:
        """Count an answered request and, where it came so far, what it asked of a model."""
        self._requests[route, protocol, status] += 1
        self._durations.setdefault(protocol, []).append(seconds)
        if inference:
            winners = inference.probabilities.argmax(axis=1)
            confidences = inference.probabilities.max(axis=1)
            self._inferences.append((inference, winners, confidences))

    def model_loaded(self, model: str) -> None:
        """Count a version that was loaded."""
        self._load_count.labels(model).inc()

    def model_refused(self, model: str) -> None:
        """Count a version that was refused."""
        self._refusal_count.labels(model).inc()

    def model_serves(self, model: str, version: int | None) -> None:
        """Note the version that answers; None is none any more."""
        self._version.labels(model).set(version or 0)

    def flush(self) -> None:
        """Work in what has been put by."""
        requests, self._requests = self._requests, Tally()
        durations, self._durations = self._durations, {}
        inferences, self._inferences = self._inferences, []
        self._in_flight_gauge.set(self.in_flight)
        for (route, protocol, status), count in requests.items():
            self._request_count.labels(route, protocol, status).inc(count)
        for protocol, seconds in durations.items():
            self._request_seconds.labels(protocol).observe_all(np.array(seconds))
        by_model: dict[str, list[tuple[Inference, Array, Array]]] = {}
        for entry in inferences:
            by_model.setdefault(entry[0].model, []).append(entry)
        for model, entries in by_model.items():
            self._flush_inferences(model, entries)

    def _flush_inferences(self, model: str, entries: list[tuple[Inference, Array, Array]]) -> None:
        inferences = [inference for inference, _, _ in entries]
        sizes = np.array([len(winners) for _, winners, _ in entries])
        self._image_count.labels(model).inc(int(sizes.sum()))
        self._batch_images.labels(model).observe_all(sizes)
        for stage in ("decode", "predict", "encode"):
            seconds = [getattr(inference, f"{stage}_seconds") for inference in inferences]
            self._stage_seconds.labels(stage).observe_all(np.array(seconds))
        winners = np.concatenate([winners for _, winners, _ in entries])
        for label, count in enumerate(np.bincount(winners).tolist()):
            if count:
                self._label_count.labels(model, label).inc(count)
        confidences = np.concatenate([confidences for _, _, confidences in entries])
        self._confidence.labels(model).observe_all(confidences)

    def flush_for_ever(self) -> None:
        """Flush in the background a few times a second, until the process ends."""

        def run() -> None:
            while True:
                time.sleep(_FLUSH_SECONDS)
                self.flush()

        Thread(target=run, daemon=True).start()

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """Write the figures of all workers.

        Args:
            accept: The scraper's `Accept` header.

        Returns:
            The text and its content type.
        """
        registry: Collector = self._registry
        if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = _Workers(Path(folder))
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # the version that it asks for is none
            encode, content_type = choose_encoder("")
        return encode(registry), content_type


class _Workers(Collector):
    """The figures of all workers, added up in small steps, between which others have their turn.

    In a thread it would take a worker's time from the others as well, and on a busy machine be at
    it far longer: at each of the fifty times that it asks the system for something, others go
    first.

    Args:
        folder: Where the workers keep them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Give one figure after another; the library calls it."""
        # One kind after another, since those of a kind are added up in one go.
        for _, files in groupby(sorted(self._folder.glob("*.db")), _kind):
            paths = _in_steps(map(str, files))
            yield from _in_steps(MultiProcessCollector.merge(paths))  # type: ignore[no-untyped-call]


def _kind(file: Path) -> str:
    return file.name.partition("_")[0]


def _in_steps(items: Iterable[T]) -> Iterator[T]:
    """Give the items on, and every now and then all others their turn first."""
    stepped = time.monotonic()
    for item in items:
        if time.monotonic() - stepped > _STEP_SECONDS:
            let_others_go_first()
            stepped = time.monotonic()
        yield item
