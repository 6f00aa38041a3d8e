"""Requests arrive at twice the rate that the service can answer."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.stress.conftest import LONG, Record
from tests.stress.versions import Versions, p99
from tests.support.load import Load, Request
from tests.support.server import serve

pytestmark = pytest.mark.stress

CONNECTIONS = 256
TIMES = 2
MIN_SHARE = 0.5
MAX_HEALTH_SECONDS = 1.0


def test_overload(tmp_path: Path, versions: Versions, record: Record) -> None:
    """Every rejection is a 503 with Retry-After, and health checks are answered."""
    seconds = 20 if LONG else 3
    with serve(tmp_path, versions.models, workers=1, MAX_QUEUE_SECONDS="0.1") as service:
        Load(service.port, [versions.request], 16).run(1)
        capacity = len(Load(service.port, [versions.request], 16).run(2).replies) / 2
        with (
            Load(service.port, [versions.request], CONNECTIONS, TIMES * capacity) as load,
            Load(service.port, [Request("/health")], 1, 10) as health,
        ):
            time.sleep(seconds)
        assert service.log.read_text() == ""
    faults = [reply for reply in load.replies if reply.fault]
    assert not faults, f"{len(faults)} requests got no or wrong responses: {faults[:3]}"
    assert {reply.status for reply in health.replies} == {200}
    accepted = [reply for reply in load.replies if reply.status == 200]
    rates = Counter(reply.status for reply in load.replies)
    longest = max(reply.seconds for reply in health.replies)
    record("capacity", f"{capacity:,.0f}/s")
    record("accepted; rejected", f"{rates[200] / seconds:,.0f}/s; {rates[503] / seconds:,.0f}/s")
    record("p99 of the accepted", f"{p99(accepted):.0f} ms")
    record("longest health check", f"{1e3 * longest:.0f} ms")
    if LONG:
        assert rates[503], "nothing was rejected"
        assert rates[200] / seconds >= MIN_SHARE * capacity
        assert longest <= MAX_HEALTH_SECONDS
