"""Requests arrive at twice the rate that the service can answer."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.stress.conftest import Record
from tests.stress.versions import Versions, p99
from tests.support.load import Load
from tests.support.server import serve

pytestmark = pytest.mark.stress

CONNECTIONS = 256
TIMES = 2
MAX_QUEUE_SECONDS = 0.1
PROBE_SECONDS = 0.1
MAX_PROBE_SECONDS = 1.0
MIN_SHARE = 0.5


def test_overload(tmp_path: Path, versions: Versions, record: Record, long: bool) -> None:
    """Every rejection is a 503 with Retry-After, and health checks are answered."""
    seconds = 20 if long else 3
    settings = {"MAX_QUEUE_SECONDS": str(MAX_QUEUE_SECONDS)}
    with serve(tmp_path, versions.models, workers=1, **settings) as service:
        Load(service.port, [versions.request], 16).run(1)
        capacity = len(Load(service.port, [versions.request], 16).run(2).replies) / 2
        probes = []
        rate = TIMES * capacity
        with Load(service.port, [versions.request], CONNECTIONS, rate) as load:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                start = time.monotonic()
                assert service.send("/health")[0] == 200
                probes.append(time.monotonic() - start)
                time.sleep(PROBE_SECONDS)
        assert service.log.read_text() == ""
    faults = [reply for reply in load.replies if reply.fault]
    assert not faults, f"{len(faults)} requests got no or wrong responses: {faults[:3]}"
    statuses = Counter(reply.status for reply in load.replies)
    accepted = [reply for reply in load.replies if reply.status == 200]
    record("capacity", f"{capacity:,.0f}/s")
    record(
        "accepted; rejected", f"{statuses[200] / seconds:,.0f}/s; {statuses[503] / seconds:,.0f}/s"
    )
    record("p99 of the accepted", f"{p99(accepted):.0f} ms")
    record("longest health check", f"{1e3 * max(probes):.0f} ms")
    assert statuses[503], "nothing was rejected"
    assert not long or statuses[200] / seconds >= MIN_SHARE * capacity
    assert not long or max(probes) <= MAX_PROBE_SECONDS
