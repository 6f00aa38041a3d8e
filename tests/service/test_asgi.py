"""The bridge from ASGI to the application, called as a server calls it."""

import asyncio
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from nncore import Predictor, scale_pixels
from nncore.repository import PublishedModel
from service.asgi import create_asgi_app
from service.resources import MemoryGrowth
from tests.service.conftest import check_probabilities

IMAGE = json.dumps({"pixels": [7] * 784}).encode()
Message = dict[str, Any]


class Exchange:
    """One request to a bridge: what the server would receive and send."""

    def __init__(
        self, bridge: Any, *messages: Message, path: str = "/predict", method: str = "POST"
    ) -> None:
        self.messages = list(messages)
        self.sent: list[Message] = []
        self.bridge = bridge
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "http_version": "1.1",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "server": ("127.0.0.1", 8000),
            "client": ("192.0.2.1", 40000),
        }

    async def receive(self) -> Message:
        if not self.messages:
            await asyncio.Event().wait()  # a client that sends no more
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        await self.may_send.wait()
        self.sent.append(message)

    async def run(self) -> int:
        await self.bridge(self.scope, self.receive, self.send)
        status: int = self.sent[0]["status"]
        return status

    @property
    def document(self) -> Any:
        return json.loads(self.sent[1]["body"])


def unfinished(*parts: bytes) -> list[Message]:
    return [{"type": "http.request", "body": part, "more_body": True} for part in parts]


def chunks(*parts: bytes) -> list[Message]:
    """Return the messages of a body that arrives in parts."""
    *messages, last = unfinished(*parts)
    return [*messages, last | {"more_body": False}]


@pytest.fixture
def bridge(published: PublishedModel, model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings = {"MODEL_DIR": str(model_dir), "MAX_BODY_BYTES": str(2**24), "RELOAD_SECONDS": "0"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return create_asgi_app()


def test_body_and_path_are_the_same_however_they_arrive(bridge: Any) -> None:
    for parts in ([IMAGE], [IMAGE[:9], b"", IMAGE[9:], b""]):
        exchange = Exchange(bridge, *chunks(*parts))
        assert asyncio.run(exchange.run()) == 200
        assert len(exchange.document["predictions"]) == 1
    exchange = Exchange(bridge, *chunks(b"x"), path="/é")
    exchange.scope["raw_path"] = b"/%C3%A9"
    assert asyncio.run(exchange.run()) == 404
    assert "/é" in exchange.document["detail"]


def test_requests_that_arrive_together_share_passes_and_get_their_own_answers(
    bridge: Any, published: PublishedModel, rng: np.random.Generator
) -> None:
    images = [rng.integers(2, 256, (size, 784)) for size in (1, 1, 3, 1, 100, 1)]
    bodies = [json.dumps({"pixels": one.tolist()}).encode() for one in images]
    exchanges = [Exchange(bridge, *chunks(body)) for body in bodies]

    async def run() -> list[int]:
        return await asyncio.gather(*(exchange.run() for exchange in exchanges))

    with patch.object(
        Predictor, "predict", autospec=True, side_effect=Predictor.predict
    ) as predict:
        assert asyncio.run(run()) == [200] * 6
    assert 1 < predict.call_count < 6
    for exchange, one in zip(exchanges, images, strict=True):
        got = [prediction["probabilities"] for prediction in exchange.document["predictions"]]
        check_probabilities(got, published.model.predict(scale_pixels(one)).T)


def test_a_body_that_is_not_read_to_its_end_is_answered_first(
    bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.request_body._BODY_SECONDS", 0.2)
    monkeypatch.setattr("service.request_body._DISCARD_SECONDS", 0.01)
    for messages, length, status in (
        (unfinished(b"x"), str(2**24 + 1), 413),
        (unfinished(*[b" " * 2**20] * 17), None, 413),
        (unfinished(*[b" "] * 2000), None, 400),  # tiny chunks
        ([*unfinished(b"x"), {"type": "http.disconnect"}], None, 400),
        (unfinished(IMAGE[:9]), None, 408),
    ):
        exchange = Exchange(bridge, *messages)
        if length:
            exchange.scope["headers"] = [(b"content-length", length.encode())]
        assert asyncio.run(exchange.run()) == status
        assert exchange.document["status"] == status


def test_after_an_error_only_a_mebibyte_is_discarded(bridge: Any) -> None:
    exchange = Exchange(bridge, *unfinished(*[b" " * 2**16] * 300), path="/nowhere")
    exchange.scope["headers"] = [(b"content-length", b"19660800")]
    assert asyncio.run(exchange.run()) == 413
    assert 300 - len(exchange.messages) == 16


def test_large_bodies_share_a_memory_limit_and_small_ones_do_not(bridge: Any) -> None:
    async def run() -> list[int]:
        slow = asyncio.ensure_future(Exchange(bridge, *unfinished(b" " * 2**24)).run())
        await asyncio.sleep(0)
        large = Exchange(bridge, *chunks(b" " * 2**17))
        statuses = [await large.run(), await Exchange(bridge, *chunks(IMAGE)).run()]
        slow.cancel()
        await asyncio.wait([slow])
        return [*statuses, await Exchange(bridge, *chunks(b" " * 2**17)).run()]

    assert asyncio.run(run()) == [503, 200, 400]


def test_a_worker_full_of_unread_responses_accepts_no_request(bridge: Any) -> None:
    path = "/page/vendor/swagger-ui/swagger-ui-bundle.js"

    async def run() -> list[int]:
        slow = [Exchange(bridge, path=path, method="GET") for _ in range(30)]
        for exchange in slow:
            exchange.may_send.clear()
        tasks = [asyncio.ensure_future(exchange.run()) for exchange in slow]
        await asyncio.sleep(0)
        statuses = [await Exchange(bridge, *chunks(IMAGE)).run()]
        statuses.append(await Exchange(bridge, path="/health", method="GET").run())
        for exchange in slow:
            exchange.may_send.set()
        await asyncio.gather(*tasks)
        return [*statuses, await Exchange(bridge, *chunks(IMAGE)).run()]

    assert asyncio.run(run()) == [503, 200, 200]


def test_connections_are_closed_while_the_memory_has_grown_too_much(bridge: Any) -> None:
    bridge.memory = MemoryGrowth(max_bytes=-(2**40))
    bridge.memory.check()
    exchange = Exchange(bridge, *chunks(IMAGE))
    with pytest.raises(asyncio.CancelledError):  # for which gunicorn closes the connection
        asyncio.run(exchange.run())
    assert exchange.sent[0]["status"] == 200
    assert (b"connection", b"close") in exchange.sent[0]["headers"]
    assert len(exchange.document["predictions"]) == 1

    empty = Exchange(bridge, path="/health/live", method="HEAD")
    assert asyncio.run(empty.run()) == 200
    assert empty.sent[1]["more_body"] is False
