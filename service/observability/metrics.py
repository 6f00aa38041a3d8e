"""The metrics that Prometheus scrapes, summed over all workers by whichever of them answers.

Each worker counts in plain dictionaries and writes them to a snapshot file of its own in
`METRICS_DIR`, which `service/gunicorn_conf.py` sets, a few times a second. A scrape adds the
snapshots of the other workers to its own counts. Without `METRICS_DIR` it exposes its own counts.
"""

from __future__ import annotations

import logging
import os
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from service.inference import InferenceRecord

_SNAPSHOT_SECONDS = 0.25
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_CONFIDENCES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1)

# Name -> help, label names.
_COUNTERS = {
    "nodestack_requests": ("Requests answered.", ["route", "protocol", "status"]),
    "nodestack_images": ("Images classified.", ["model"]),
    "nodestack_predictions": ("Images by predicted label.", ["model", "label"]),
    "nodestack_model_loads": ("Versions loaded.", ["model"]),
    "nodestack_model_refusals": ("Versions that failed verification.", ["model"]),
}
# Name -> help, label name, upper bounds of the buckets.
_HISTOGRAMS = {
    "nodestack_request_seconds": (
        "Seconds from a request's head to its response.",
        "protocol",
        _SECONDS,
    ),
    "nodestack_batch_images": ("Images per request.", "model", _IMAGES),
    "nodestack_stage_seconds": (
        "Seconds that a request takes to decode, predict and encode.",
        "stage",
        _SECONDS,
    ),
    "nodestack_confidence": ("Probability of the predicted label.", "model", _CONFIDENCES),
}
_GAUGES = {
    "nodestack_requests_in_flight": ("Requests being answered.", []),
    "nodestack_model_version": ("Version that answers; the lowest of all workers.", ["model"]),
}
# A sample's key in a snapshot: metric name and label values.
_SEPARATOR = "\x1f"

_log = logging.getLogger(__name__)


class Metrics(Collector):
    """Counts what happens in this process, and exposes the sum over all workers.

    Args:
        folder: Where the workers keep their snapshots; None for this process alone.

    Attributes:
        in_flight: The requests that this process is answering.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.in_flight = 0
        self._counts: defaultdict[str, float] = defaultdict(float)
        # The count of each bucket, one for +Inf, then the sum.
        self._histograms: dict[str, list[float]] = {}
        self._versions: dict[str, int] = {}
        self._file = folder / f"{os.getpid()}.json" if folder else None
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count_request(
        self,
        route: str,
        protocol: str,
        status: int,
        seconds: float,
        inference: InferenceRecord | None,
    ) -> None:
        """Count a request that has been answered, and its inference where it had one."""
        self._counts[_key("nodestack_requests", route, protocol, str(status))] += 1
        self._observe("nodestack_request_seconds", protocol, seconds)
        if inference is None:
            return
        model, probabilities = inference.model, inference.probabilities
        self._counts[_key("nodestack_images", model)] += len(probabilities)
        self._observe("nodestack_batch_images", model, len(probabilities))
        self._observe("nodestack_stage_seconds", "decode", inference.decode_seconds)
        self._observe("nodestack_stage_seconds", "predict", inference.predict_seconds)
        self._observe("nodestack_stage_seconds", "encode", inference.encode_seconds)
        confidences = probabilities.max(axis=1).tolist()
        for confidence in confidences:
            self._observe("nodestack_confidence", model, confidence)
        for label, images in enumerate(np.bincount(probabilities.argmax(axis=1)).tolist()):
            if images:
                self._counts[_key("nodestack_predictions", model, str(label))] += images

    def count_load(self, model: str) -> None:
        """Count a version that was loaded."""
        self._counts[_key("nodestack_model_loads", model)] += 1

    def count_refusal(self, model: str) -> None:
        """Count a version that failed verification."""
        self._counts[_key("nodestack_model_refusals", model)] += 1

    def set_version(self, model: str, version: int) -> None:
        """Record the version of a model that answers; 0 for none."""
        self._versions[model] = version

    def _observe(self, name: str, label: str, value: float) -> None:
        key = _key(name, label)
        buckets = _HISTOGRAMS[name][2]
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = [0.0] * (len(buckets) + 2)
        histogram[bisect_left(buckets, value)] += 1
        histogram[-1] += value

    def snapshot(self) -> dict[str, Any]:
        """Return the counts of this process as JSON values."""
        gauges = {_key("nodestack_requests_in_flight"): self.in_flight}
        for model, version in list(self._versions.items()):
            gauges[_key("nodestack_model_version", model)] = version
        return {
            "counts": dict(self._counts),
            "histograms": {key: list(values) for key, values in list(self._histograms.items())},
            "gauges": gauges,
        }

    def write_snapshot(self) -> None:
        """Write this worker's counts where the other workers read them.

        Raises:
            OSError: They cannot be written.
        """
        if self._file:
            _write(self._file, self.snapshot())

    def write_snapshots(self) -> None:
        """Write snapshots in a background thread until the process ends."""

        def run() -> None:
            while True:
                time.sleep(_SNAPSHOT_SECONDS)
                try:
                    self.write_snapshot()
                except Exception:  # noqa: BLE001 - the metrics must outlive any single failure
                    _log.exception("the metrics could not be written; the next try follows")

        if self._file:
            Thread(target=run, daemon=True).start()

    def expose(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of all workers as text, and its content type.

        What it returns is first written to this worker's snapshot, so that no counter is lower in
        the next scrape, even if the worker is killed before.

        Args:
            accept: The scraper's `Accept` header.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # Accept names a version of the format that does not exist
            encode, content_type = choose_encoder("")
        self.write_snapshot()
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, summed over the workers; prometheus_client calls it."""
        snapshots = [self.snapshot()]
        if self._file:
            others = self._file.parent.glob("*.json")
            snapshots += [_read(file) for file in others if file != self._file]
        counts = _sum(snapshot["counts"] for snapshot in snapshots)
        histograms = _sum_histograms(snapshots)
        for name, (text, labels) in _COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=labels)
            for values, value in _of_metric(counts, name):
                counter.add_metric(values, value)
            yield counter
        for name, (text, label, bounds) in _HISTOGRAMS.items():
            histogram = HistogramMetricFamily(name, text, labels=[label])
            for values, numbers in _of_metric(histograms, name):
                totals = np.cumsum(numbers[:-1]).tolist()
                buckets = list(zip([*map(str, map(float, bounds)), "+Inf"], totals, strict=True))
                histogram.add_metric(values, buckets, numbers[-1])
            yield histogram
        for name, (text, labels) in _GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=labels)
            combine = min if name == "nodestack_model_version" else sum
            by_labels: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
            for snapshot in snapshots:
                for values, value in _of_metric(snapshot["gauges"], name):
                    by_labels[tuple(values)].append(value)
            for label_values, numbers in by_labels.items():
                gauge.add_metric(label_values, combine(numbers))
            yield gauge


def keep_counts_of_ended_worker(folder: Path, process: int) -> None:
    """Add the counts of a worker that has ended to those of earlier ones; drop its gauges.

    Called in gunicorn's master process, the only one that writes this file.
    """
    file, ended = folder / f"{process}.json", folder / "ended.json"
    snapshots = [_read(file), _read(ended)]
    counts = _sum(snapshot["counts"] for snapshot in snapshots)
    _write(ended, {"counts": counts, "histograms": _sum_histograms(snapshots), "gauges": {}})
    file.unlink(missing_ok=True)


@lru_cache(1024)
def _key(name: str, *labels: str) -> str:
    return _SEPARATOR.join((name, *labels))


def _of_metric(samples: Mapping[str, Any], name: str) -> Iterator[tuple[list[str], Any]]:
    """Yield the label values and the value of each sample of a metric, in a stable order."""
    for key in sorted(samples):
        found, *labels = key.split(_SEPARATOR)
        if found == name:
            yield labels, samples[key]


def _sum(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for part in parts:
        for key, value in part.items():
            total[key] += value
    return total


def _sum_histograms(snapshots: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    total: dict[str, list[float]] = {}
    for snapshot in snapshots:
        for key, values in snapshot["histograms"].items():
            before = total.get(key, [0.0] * len(values))
            total[key] = [a + b for a, b in zip(before, values, strict=True)]
    return total


def _read(file: Path) -> dict[str, Any]:
    """Read a snapshot; an empty one where the worker has ended or not yet written it."""
    try:
        snapshot: dict[str, Any] = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return {"counts": {}, "histograms": {}, "gauges": {}}
    return snapshot


def _write(file: Path, snapshot: dict[str, Any]) -> None:
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(orjson.dumps(snapshot))
    unfinished.replace(file)
