"""The metrics for Prometheus: the sum over all workers.

Each worker counts in a dictionary and writes it a few times a second to a snapshot file of its own
in `METRICS_DIR`, which `service/gunicorn_conf.py` sets. The worker that answers a scrape adds the
snapshots of the others to its own counts. Without `METRICS_DIR` it exposes its own counts.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING

import numpy as np
import orjson
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from service.inference import InferenceRecord

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_CONFIDENCES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1)

# Name -> help, label names; a histogram also has the upper bounds of its buckets.
_COUNTERS = {
    "nodestack_requests": ("Requests answered.", ["route", "protocol", "status"]),
    "nodestack_images": ("Images classified.", ["model"]),
    "nodestack_predictions": ("Images by predicted label.", ["model", "label"]),
    "nodestack_model_loads": ("Versions loaded.", ["model"]),
    "nodestack_model_refusals": ("Versions that failed verification.", ["model"]),
}
_HISTOGRAMS = {
    "nodestack_request_seconds": ("Seconds from head to response.", ["protocol"], _SECONDS),
    "nodestack_batch_images": ("Images per request.", ["model"], _IMAGES),
    "nodestack_stage_seconds": ("Seconds of a request's stages.", ["stage"], _SECONDS),
    "nodestack_confidence": ("Probability of the predicted label.", ["model"], _CONFIDENCES),
}
_GAUGES = {
    "nodestack_requests_in_flight": ("Requests being answered.", []),
    "nodestack_model_version": ("Version that answers; the lowest of all workers.", ["model"]),
}
# The values of each sample. Its key is the metric's name and the label values. A counter and a
# gauge have one value, a histogram has the count of each bucket, one for +Inf, then the sum.
Samples = dict[str, list[float]]
_SEPARATOR = "\x1f"


class Metrics(Collector):
    """Counts what happens in this process, and exposes the sum over all workers.

    Args:
        folder: Where the workers keep their snapshots; None for this process alone.

    Attributes:
        in_flight: The requests that this process is answering.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.in_flight = 0
        self._samples: Samples = {}
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
        self._count(1, "nodestack_requests", route, protocol, str(status))
        self._observe("nodestack_request_seconds", protocol, seconds)
        if inference is None:
            return
        model, probabilities = inference.model, inference.probabilities
        self._count(len(probabilities), "nodestack_images", model)
        self._observe("nodestack_batch_images", model, len(probabilities))
        self._observe("nodestack_stage_seconds", "decode", inference.decode_seconds)
        self._observe("nodestack_stage_seconds", "predict", inference.predict_seconds)
        self._observe("nodestack_stage_seconds", "encode", inference.encode_seconds)
        self._observe("nodestack_confidence", model, *probabilities.max(axis=1).tolist())
        for label, images in enumerate(np.bincount(probabilities.argmax(axis=1)).tolist()):
            if images:
                self._count(images, "nodestack_predictions", model, str(label))

    def count_load(self, model: str) -> None:
        """Count a version that was loaded."""
        self._count(1, "nodestack_model_loads", model)

    def count_refusal(self, model: str) -> None:
        """Count a version that failed verification."""
        self._count(1, "nodestack_model_refusals", model)

    def set_version(self, model: str, version: int) -> None:
        """Record the version of a model that answers; 0 for none."""
        self._samples[_key("nodestack_model_version", model)] = [version]

    def _count(self, value: float, name: str, *labels: str) -> None:
        self._samples.setdefault(_key(name, *labels), [0.0])[0] += value

    def _observe(self, name: str, label: str, *values: float) -> None:
        key, bounds = _key(name, label), _HISTOGRAMS[name][2]
        sample = self._samples.get(key)
        if sample is None:
            sample = self._samples[key] = [0.0] * (len(bounds) + 2)
        for value in values:
            sample[bisect_left(bounds, value)] += 1
            sample[-1] += value

    def _snapshot(self) -> Samples:
        samples = {key: list(values) for key, values in list(self._samples.items())}
        return samples | {"nodestack_requests_in_flight": [self.in_flight]}

    def write_snapshot(self) -> None:
        """Write this worker's counts where the other workers read them.

        Raises:
            OSError: They cannot be written.
        """
        if self._file:
            _write(self._file, self._snapshot())

    def expose(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of all workers as text, and its content type.

        They are first written to this worker's snapshot, so that no counter is lower in the next
        scrape, even if the worker is killed before.

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
        snapshots = [self._snapshot()]
        if self._file:
            others = self._file.parent.glob("*.json")
            snapshots += [_read(file) for file in others if file != self._file]
        samples: defaultdict[str, list[tuple[list[str], list[float]]]] = defaultdict(list)
        for key, values in sorted(_sum(snapshots).items()):
            name, *labels = key.split(_SEPARATOR)
            samples[name].append((labels, values))
        for kind, metrics in ((CounterMetricFamily, _COUNTERS), (GaugeMetricFamily, _GAUGES)):
            for name, (text, label_names) in metrics.items():
                family = kind(name, text, labels=label_names)
                for labels, values in samples[name]:
                    family.add_metric(labels, values[0])
                yield family
        for name, (text, label_names, bounds) in _HISTOGRAMS.items():
            histogram = HistogramMetricFamily(name, text, labels=label_names)
            bucket_names = [*(str(float(bound)) for bound in bounds), "+Inf"]
            for labels, values in samples[name]:
                counts = np.cumsum(values[:-1]).tolist()
                buckets = list(zip(bucket_names, counts, strict=True))
                histogram.add_metric(labels, buckets, values[-1])
            yield histogram


def keep_counts_of_ended_worker(folder: Path, process: int) -> None:
    """Add the counts of a worker that has ended to those of earlier ones; drop its gauges.

    Called in gunicorn's master process, the only one that writes this file.
    """
    file, ended = folder / f"{process}.json", folder / "ended.json"
    counts = _sum([_read(file), _read(ended)])
    _write(ended, {key: counts[key] for key in counts if _name(key) not in _GAUGES})
    file.unlink(missing_ok=True)


@lru_cache(1024)
def _key(name: str, *labels: str) -> str:
    return _SEPARATOR.join((name, *labels))


def _name(key: str) -> str:
    return key.partition(_SEPARATOR)[0]


def _sum(snapshots: Iterable[Samples]) -> Samples:
    total: Samples = {}
    for snapshot in snapshots:
        for key, values in snapshot.items():
            if key not in total:
                total[key] = values
            elif _name(key) == "nodestack_model_version":
                total[key] = min(total[key], values)
            else:
                total[key] = [a + b for a, b in zip(total[key], values, strict=True)]
    return total


def _read(file: Path) -> Samples:
    """Read a snapshot; an empty one where the worker has ended or not yet written it."""
    try:
        samples: Samples = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return samples


def _write(file: Path, samples: Samples) -> None:
    # A scrape and the background thread may write at the same time.
    unfinished = file.with_suffix(f".{get_ident()}")
    unfinished.write_bytes(orjson.dumps(samples))
    unfinished.replace(file)
