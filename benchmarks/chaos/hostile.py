"""Hostile requests: the fuzzing corpus and mutations of it, in valid and in broken HTTP.

A request is a function of a seed and its number, so that what one of them breaks can be sent again.
"""

import gzip
import http.client
import json
import re
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.truth import Truth
from benchmarks.serving.client import Request
from benchmarks.serving.protocols import Body
from benchmarks.serving.server import ROOT, serve, wait_until
from tests.support.processes import open_files

_SEED = 6
_CLIENTS = 8
_BATCH = 500
_TIMEOUT_SECONDS = 20
_MAX_BODY_BYTES = 2**17
_SETTINGS: dict[str, Any] = {"MAX_BATCH": "8", "MAX_BODY_BYTES": str(_MAX_BODY_BYTES)}
_MAX_SHOWN = 10
_CORPUS = ROOT / "tests" / "fuzz" / "corpus"
# By folder of the corpus, where its bodies go.
_PLACES = {
    "predict": ("/predict", "application/json"),
    "octets": ("/predict", "application/octet-stream"),
    "npy": ("/predict", "application/x-npy"),
    "image": ("/predict", "image/png"),
    "form": ("/predict", "multipart/form-data; boundary=boundary"),
    "instances": ("/v1/models/mnist:predict", "application/json"),
    "csv": ("/invocations", "text/csv"),
    "open-inference": ("/v2/models/mnist/infer", "application/json"),
}
_QUERIES = (*("",) * 9, "?top_k=0", "?top_k=1e999", "?range=1,0", "?include=x", "?%ff=%fe&&=")
_BOMB = gzip.compress(bytes(2**25))
_TOKENS = (b"1e999", b"-1", b"NaN", b"9" * 5000, b"[" * 50_000, b'"\\ud800"', b"null", b"\xff\0")
_METHODS = ("get", "G\0T", "", "\xe9", "PRI", "TRACE", "CONNECT", "A" * 5000, "OPTIONS", "PUT")
_TARGETS = (
    *("*", "predict", "//predict", "/../../etc/passwd", "/%", "/%00", "/\xff", "/" + "a" * 10_000),
    *("http://[::/", "/docs/examples/%2e%2e", "/v1/models/%2e%2e:predict", "/predict%0d%0aX: y"),
    f"/v2/models/mnist/versions/{'9' * 400}",
)
_VERSIONS = ("HTTP/0.9", "HTTP/2.0", "HTTP/3", "http/1.1", "", "\xff")
_LINES = (
    *("no colon", ": x", "X Y: z", " folded: x", "X\0: y", "X: \0", "X: a\rb", "\xff: \xfe"),
    *("Host: a\r\nHost: b", "Host: [::", "Expect: 100-continue", "Expect: x", "Upgrade: h2c"),
    *("X: " + "y" * 9000, "X: y\r\n" * 5000 + "X: y", "Content-Type: \xff", "Accept: */*;q=1e999"),
    *("Content-Length: -1", "Content-Length: 9\r\nContent-Length: 8", "Content-Length: \xb2"),
    *("Transfer-Encoding: chunked, chunked", "Transfer-Encoding: ,", "Transfer-Encoding: x"),
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
)
_CHUNKS = (b"zz", b"-1", b"0x5", b"5 5", b"", b"f" * 16, b"f" * 100_000, b"5;" + b"a" * 100_000)
_GARBAGE = (
    *(b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(400), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\n"),
    *(
        b"\r\n" * 5000,
        b"\0" * 10_000,
        b"GET / HTTP/1.1\n\n",
        b"A" * 100_000,
        b"HTTP/1.1 200 OK\r\n",
    ),
)


class _Attack(NamedTuple):
    """A hostile request, and whether it is valid HTTP, which has to be answered."""

    number: int
    data: bytes
    is_valid: bool


def run(full: bool, folder: Path) -> Outcome:
    """Send 100,000 hostile requests or, for CI, 8,000."""
    outcome = Outcome()
    truth = Truth(folder / "models")
    truth.publish()
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    make = _maker(truth)
    with (
        serve(folder, folder / "models", **_SETTINGS) as server,
        ThreadPoolExecutor(_CLIENTS) as pool,
    ):
        workers, files = server.workers, sum(map(open_files, server.workers))
        for batch in range((100_000 if full else 8_000) // _BATCH):
            numbers = range(batch * _BATCH, (batch + 1) * _BATCH)
            for attack, status, fault in pool.map(
                lambda n, port=server.port: _send(port, make(n)), numbers
            ):
                statuses[503 if status == 503 else status // 100] += 1
                if fault:
                    faults.append(f"request {attack.number}: {fault} to {attack.data[:200]!r}")
            request = truth.request
            status, headers, body = server.send(request.path, request.body)
            fault = request.check(headers, body) if status == 200 else f"answered {status}"
            outcome.expect(fault is None, f"batch {batch} was followed by {fault}")
        outcome.expect(server.workers == workers, "a worker was lost")
        wait_until(
            # A few files are opened at the first use.
            lambda: sum(map(open_files, server.workers)) <= files + 2 * len(workers),
            "the end of all connections",
        )
        outcome.expect_sound(server)
    outcome.figures |= {
        "hostile requests": f"{sum(statuses.values()):,}",
        "answered 2xx, 4xx, 5xx, 503, not at all": ", ".join(
            f"{statuses[kind]:,}" for kind in (2, 4, 5, 503, 0)
        ),
    }
    outcome.failures += faults[:_MAX_SHOWN]
    return outcome


def _maker(truth: Truth) -> Callable[[int], _Attack]:
    """Return the function that makes a request by its number."""
    valid = [(request.path, request.body or Body(b"", {})) for request in truth.requests]
    corpus = [
        (path, Body(file.read_bytes(), {"Content-Type": content_type}))
        for name, (path, content_type) in _PLACES.items()
        for file in sorted((_CORPUS / name).iterdir())
    ]
    assert len(corpus) > len(_PLACES)

    def make(number: int) -> _Attack:
        random = Random(f"{_SEED}/{number}")
        path, body = random.choice(random.choice((valid, corpus)))
        content, headers = body.content, dict(body.headers)
        if random.random() < 0.5:
            content = _mutate(random, content)
        if random.random() < 0.1:
            content = random.choice((gzip.compress(content), content, _BOMB))
            headers["Content-Encoding"] = random.choice(("gzip", "deflate", "br", "gzip, gzip"))
        if random.random() < 0.1:
            headers["Content-Type"] = random.choice(corpus)[1].headers["Content-Type"]
        request = Request(path + random.choice(_QUERIES), Body(content, headers))
        if random.random() < 0.7:
            return _Attack(number, request.encode(), is_valid=True)
        return _Attack(number, _break(random, request), is_valid=False)

    return make


def _mutate(random: Random, content: bytes) -> bytes:
    """Flip, remove, repeat, replace or insert bytes, once or a few times."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        start = random.randrange(len(changed) + 1)
        end = min(len(changed), start + random.choice((1, 2, 4, 64, 1000)))
        piece = bytes(changed[start:end])
        pieces = (b"", piece * 2, random.randbytes(len(piece)), random.choice(_TOKENS) + piece)
        changed[start:end] = random.choice(pieces)
    return bytes(changed[: _MAX_BODY_BYTES + 1000])


def _break(random: Random, request: Request) -> bytes:
    """Return the request in a form that no client should send."""
    whole = request.encode()
    head, _, body = whole.partition(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    which = random.randrange(3)
    words[which] = random.choice((_METHODS, _TARGETS, _VERSIONS)[which])
    chunked = re.sub(rb"\r\nContent-Length: \d+", b"\r\nTransfer-Encoding: chunked", head)
    size = random.choice((*_CHUNKS, b"%x" % len(body)))
    kinds = (
        " ".join(words).encode("latin-1") + b"\r\n" + fields + b"\r\n\r\n" + body,
        head + b"\r\n" + random.choice(_LINES).encode("latin-1") + b"\r\n\r\n" + body,
        chunked + b"\r\n\r\n" + size + b"\r\n" + body + random.choice((b"\r\n0\r\n\r\n", b"")),
        _mutate(random, head) + b"\r\n\r\n" + body,
        whole[: random.randrange(len(whole))],
        whole + random.choice((b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"0\r\n\r\n")),
        random.choice(_GARBAGE),
    )
    return random.choice(kinds)


def _send(port: int, attack: _Attack) -> tuple[_Attack, int, str | None]:
    """Send a request; return its status (0 for none) and what is wrong with the response."""
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS) as client:
        try:
            client.sendall(attack.data)
            if not attack.is_valid:
                client.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(client)
            response.begin()
            body = response.read()
        except TimeoutError:
            return attack, 0, "no response in time"
        except (OSError, http.client.HTTPException) as error:
            return attack, 0, f"no response: {error!r}" if attack.is_valid else None
    status = response.status
    if attack.is_valid and status >= 400 and not _is_error(body):
        return attack, status, f"{status} without a JSON error {body[:200]!r}"
    # gunicorn answers 501 and 505 itself.
    if status >= 500 and status not in ((503,) if attack.is_valid else (501, 503, 505)):
        return attack, status, f"{status} {body[:200]!r}"
    return attack, status, None


def _is_error(body: bytes) -> bool:
    try:
        return bool(json.loads(body)["error"])
    except (ValueError, TypeError, KeyError):
        return False
