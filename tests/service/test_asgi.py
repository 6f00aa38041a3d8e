"""The bridge from ASGI to the application: bodies, memory, deadlines, rejections."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from service.asgi import Bridge
from service.settings import Settings
from tests.service.conftest import make_app
from tests.support.models import publish

IMAGE = json.dumps({"pixels": [7] * 784}).encode()
HEADERS = {"content-type": "application/json"}
Message = dict[str, Any]


class Exchange:
    """One request to a bridge: what the server would receive and send."""

    def __init__(self, bridge: Bridge, *messages: Message, path: str = "/predict", **headers: str):
        self.messages = list(messages)
        self.sent: list[Message] = []
        self.bridge = bridge
        names = {name.replace("_", "-"): value for name, value in (HEADERS | headers).items()}
        self.scope = {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "http_version": "1.1",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in names.items()],
            "server": ("127.0.0.1", 8000),
            "client": ("192.0.2.1", 40000),
        }

    async def receive(self) -> Message:
        if not self.messages:
            await asyncio.Event().wait()  # a client that sends no more
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(self) -> None:
        await self.bridge(self.scope, self.receive, self.send)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def document(self) -> Any:
        return json.loads(self.sent[1]["body"])


def chunks(*parts: bytes) -> list[Message]:
    """Return the messages of a body that arrives in parts."""
    more = [True] * (len(parts) - 1) + [False]
    return [
        {"type": "http.request", "body": part, "more_body": follows}
        for part, follows in zip(parts, more, strict=True)
    ]


def unfinished(*parts: bytes) -> list[Message]:
    return [message | {"more_body": True} for message in chunks(*parts)]


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    publish(tmp_path)
    settings = Settings(model_dir=str(tmp_path), max_body_bytes=2**20)
    return Bridge(make_app(settings).extensions["nodestack.middleware"], settings)


@pytest.mark.parametrize(
    "parts", [[IMAGE], [IMAGE[:9], IMAGE[9:]], [IMAGE[:9], b"", IMAGE[9:], b""]]
)
def test_a_body_is_the_same_however_it_arrives(bridge: Bridge, parts: Sequence[bytes]) -> None:
    exchange = Exchange(bridge, *chunks(*parts))
    asyncio.run(exchange.run())
    assert exchange.status == 200
    assert len(exchange.document["predictions"]) == 1
    assert (b"server", b"nodestack") in exchange.sent[0]["headers"]


def test_requests_that_arrive_together_get_their_own_answers(bridge: Bridge) -> None:
    alone: list[Exchange] = []
    together: list[Exchange] = []
    bodies = [json.dumps({"pixels": [level] * 784}).encode() for level in range(2, 250, 8)]

    async def run() -> None:
        for body in bodies:
            alone.append(Exchange(bridge, *chunks(body)))
            await alone[-1].run()
        together.extend(Exchange(bridge, *chunks(body)) for body in bodies)
        await asyncio.gather(*(exchange.run() for exchange in together))

    asyncio.run(run())
    for one, shared in zip(alone, together, strict=True):
        expected = one.document["predictions"][0]["probabilities"]
        got = shared.document["predictions"][0]["probabilities"]
        assert got == pytest.approx(expected, rel=0, abs=1e-6)


@pytest.mark.parametrize(
    ("messages", "headers", "status"),
    [
        (unfinished(b"x"), {"content_length": str(2**20 + 1)}, 413),
        (unfinished(*[b" " * 2**16] * 17), {}, 413),
        (unfinished(*[b" "] * 2000), {}, 400),
        ([*unfinished(b"x"), {"type": "http.disconnect"}], {}, 400),
    ],
    ids=["declared size", "received size", "tiny chunks", "disconnect"],
)
def test_a_body_that_is_not_read_to_its_end_is_answered_first(
    bridge: Bridge,
    messages: list[Message],
    headers: dict[str, str],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.request_body._DISCARD_SECONDS", 0.01)
    exchange = Exchange(bridge, *messages, **headers)
    asyncio.run(exchange.run())
    assert exchange.status == status
    assert exchange.document["status"] == status


def test_a_slow_body_is_given_up(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.request_body._BODY_SECONDS", 0.01)
    monkeypatch.setattr("service.request_body._DISCARD_SECONDS", 0.01)
    exchange = Exchange(bridge, *unfinished(IMAGE[:9]))
    asyncio.run(exchange.run())
    assert exchange.status == 408


def test_after_an_error_only_so_much_is_discarded(bridge: Bridge) -> None:
    exchange = Exchange(bridge, *unfinished(*[b" " * 2**16] * 100), path="/nowhere")
    exchange.scope["headers"] = [(b"content-length", b"6553600")]
    asyncio.run(exchange.run())
    assert exchange.status == 413
    assert 100 - len(exchange.messages) == 16  # 1 MiB


def test_large_bodies_share_a_memory_limit_and_small_ones_do_not(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.request_body._MAX_LARGE_BYTES", 2**20)
    monkeypatch.setattr("service.request_body._DISCARD_SECONDS", 0.01)

    async def run() -> None:
        slow = Exchange(bridge, *unfinished(b" " * 2**20))
        holding = asyncio.ensure_future(slow.run())
        await asyncio.sleep(0)
        large, small = Exchange(bridge, *chunks(b" " * 2**17)), Exchange(bridge, *chunks(IMAGE))
        await large.run()
        await small.run()
        assert (large.status, small.status) == (503, 200)
        assert "retry" in large.document["detail"]
        holding.cancel()
        await asyncio.wait([holding])
        again = Exchange(bridge, *chunks(b" " * 2**17))
        await again.run()
        assert again.status == 400  # read, and no JSON

    asyncio.run(run())


def test_a_client_that_goes_while_it_waits_holds_up_no_other(bridge: Bridge) -> None:
    async def run() -> int:
        gone = Exchange(bridge, *chunks(IMAGE))
        task = asyncio.ensure_future(gone.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        next_one = Exchange(bridge, *chunks(IMAGE))
        await next_one.run()
        return next_one.status

    assert asyncio.run(run()) == 200


def test_keys_are_checked_before_load_and_before_the_body(tmp_path: Path) -> None:
    publish(tmp_path)
    settings = Settings(model_dir=str(tmp_path), api_keys=frozenset({"key"}), rate_limit="3/hour")
    bridge = Bridge(make_app(settings).extensions["nodestack.middleware"], settings)
    bridge._computing.rejection = lambda: pytest.fail("load was checked first")  # type: ignore[method-assign]
    exchanges = [Exchange(bridge, *chunks(b"x"), x_api_key="wrong") for _ in range(4)]
    for exchange in exchanges:
        asyncio.run(exchange.run())
    assert [exchange.status for exchange in exchanges] == [401, 401, 401, 429]


def test_a_path_keeps_its_bytes(bridge: Bridge) -> None:
    exchange = Exchange(bridge, *chunks(b"x"), path="/é")
    exchange.scope["raw_path"] = b"/%C3%A9"
    asyncio.run(exchange.run())
    assert exchange.status == 404
    assert "/é" in exchange.document["detail"]


def test_a_worker_full_of_unread_responses_accepts_no_request(bridge: Bridge) -> None:
    async def run() -> list[int]:
        bridge._held_bytes.count += 32 * 2**20 + 1  # as many bytes wait for slow clients
        rejected, health = Exchange(bridge, *chunks(IMAGE)), Exchange(bridge, path="/health")
        health.scope["method"] = "GET"
        await rejected.run()
        await health.run()
        bridge._held_bytes.count -= 32 * 2**20 + 1
        accepted = Exchange(bridge, *chunks(IMAGE))
        await accepted.run()
        return [rejected.status, health.status, accepted.status]

    assert asyncio.run(run()) == [503, 200, 200]
    assert bridge._held_bytes.count == 0


def test_connections_are_closed_while_the_memory_has_grown_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.resources._MAX_GROWTH_BYTES", -1)
    monkeypatch.setattr("service.resources._REQUESTS_PER_CHECK", 1)
    publish(tmp_path)
    settings = Settings(model_dir=str(tmp_path))
    bridge = Bridge(make_app(settings).extensions["nodestack.middleware"], settings)
    exchange = Exchange(bridge, *chunks(IMAGE))
    with pytest.raises(asyncio.CancelledError):  # for which gunicorn closes the connection
        asyncio.run(exchange.run())
    assert exchange.status == 200
    assert (b"connection", b"close") in exchange.sent[0]["headers"]
    assert len(exchange.document["predictions"]) == 1
