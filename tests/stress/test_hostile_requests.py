"""Hostile requests: the fuzzing corpus and mutations of it, in valid and in broken HTTP.

A request is a function of a seed and its number, so that a failure can be repeated.
"""

import gzip
import http.client
import json
import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.stress.conftest import LONG, Record
from tests.stress.versions import Versions, check_workers
from tests.support.load import Request
from tests.support.processes import open_files
from tests.support.server import DEADLINE_SECONDS, ROOT, serve, wait_until

pytestmark = pytest.mark.stress

SEED = 6
CLIENTS = 8
BATCH = 500
MAX_BODY_BYTES = 2**17
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
# By folder of the corpus, where its bodies go.
PLACES = {
    "predict": ("/predict", "application/json"),
    "octets": ("/predict", "application/octet-stream"),
    "npy": ("/predict", "application/x-npy"),
    "image": ("/predict", "image/png"),
    "form": ("/predict", "multipart/form-data; boundary=boundary"),
    "instances": ("/v1/models/mnist:predict", "application/json"),
    "csv": ("/invocations", "text/csv"),
    "open-inference": ("/v2/models/mnist/infer", "application/json"),
}
QUERIES = (*("",) * 9, "?top_k=0", "?top_k=1e999", "?range=1,0", "?include=x", "?%ff=%fe&&=")
BOMB = gzip.compress(bytes(2**25))
TOKENS = (b"1e999", b"-1", b"NaN", b"9" * 5000, b"[" * 50_000, b'"\\ud800"', b"null", b"\xff\0")
METHODS = ("get", "G\0T", "", "\xe9", "PRI", "TRACE", "CONNECT", "A" * 5000, "OPTIONS", "PUT")
TARGETS = (
    *("*", "predict", "//predict", "/../../etc/passwd", "/%00", "/\xff", "/" + "a" * 10_000),
    *("http://[::/", "/docs/examples/%2e%2e", "/v1/models/%2e%2e:predict", "/predict%0d%0aX: y"),
    f"/v2/models/mnist/versions/{'9' * 400}",
)
VERSIONS = ("HTTP/0.9", "HTTP/2.0", "HTTP/3", "http/1.1", "", "\xff")
LINES = (
    *("no colon", ": x", "X Y: z", " folded: x", "X\0: y", "X: \0", "X: a\rb", "\xff: \xfe"),
    *("Host: a\r\nHost: b", "Host: [::", "Expect: 100-continue", "Expect: x", "Upgrade: h2c"),
    *("X: " + "y" * 9000, "X: y\r\n" * 5000 + "X: y", "Content-Type: \xff", "Accept: */*;q=1e999"),
    *("Content-Length: -1", "Content-Length: 9\r\nContent-Length: 8", "Content-Length: \xb2"),
    *("Transfer-Encoding: chunked, chunked", "Transfer-Encoding: ,", "Transfer-Encoding: x"),
)
CHUNKS = (b"zz", b"-1", b"0x5", b"5 5", b"", b"f" * 16, b"f" * 100_000, b"5;" + b"a" * 100_000)
GARBAGE = (
    *(b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(400), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\n"),
    *(b"\r\n" * 5000, b"\0" * 10_000, b"GET / HTTP/1.1\n\n", b"A" * 100_000, b"HTTP/1.1 200\r\n"),
)


def test_hostile_requests(tmp_path: Path, versions: Versions, record: Record) -> None:
    """A valid request gets a response, an error is never a 500, and no worker is lost."""
    statuses = Counter[int]()
    bases = [
        *versions.requests * 5,
        *(
            Request(path, file.read_bytes(), {"Content-Type": content_type})
            for name, (path, content_type) in PLACES.items()
            for file in sorted((CORPUS / name).iterdir())
        ),
    ]
    settings = {"MAX_BATCH": "8", "MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
    server = serve(tmp_path, versions.models, 2, **settings)
    with server as service, ThreadPoolExecutor(CLIENTS) as pool:
        workers, files = service.workers, open_files(*service.workers)
        for start in range(0, 50_000 if LONG else 2_000, BATCH):
            attack = partial(send_hostile, service.port, bases)
            statuses.update(pool.map(attack, range(start, start + BATCH)))
            good = versions.request
            status, headers, body = service.send(good.path, good.content, good.headers)
            assert (status, good.check(headers, body)) == (200, None)
        assert service.workers == workers, "a worker was lost"
        # A few files are opened at the first use.
        most_files = files + 2 * len(workers)
        wait_until(lambda: open_files(*service.workers) <= most_files, "connections are closed")
        record("hostile requests", f"{sum(statuses.values()):,}")
        counts = ", ".join(f"{statuses[kind]:,}" for kind in (2, 4, 5, 503, 0))
        record("answered 2xx, 4xx, 501 or 505, 503, not at all", counts)
        record("peak memory of a worker", check_workers(service))


def send_hostile(port: int, bases: list[Request], number: int) -> int:
    """Send a request, check the response; return 503, or the first digit of its status, or 0."""
    random = Random(f"{SEED}/{number}")
    base = random.choice(bases)
    content, headers = base.content or b"", dict(base.headers)
    if random.random() < 0.5:
        content = mutate(random, content)
    if random.random() < 0.1:
        content = random.choice((gzip.compress(content), content, BOMB))
        headers["Content-Encoding"] = random.choice(("gzip", "deflate", "br", "gzip, gzip"))
    if random.random() < 0.1:
        headers["Content-Type"] = random.choice(list(PLACES.values()))[1]
    request = Request(base.path + random.choice(QUERIES), content, headers)
    is_valid = random.random() < 0.7
    data = request.encode() if is_valid else break_http(random, request)
    status, body = 0, b""
    with socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS) as client:
        try:
            client.sendall(data)
            if not is_valid:
                client.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(client)
            response.begin()
            status, body = response.status, response.read()
        except TimeoutError:
            status = -1
        except (OSError, http.client.HTTPException) as error:
            body = repr(error).encode()
    allowed = (503,) if is_valid else (0, 501, 503, 505)  # gunicorn answers 501 and 505 itself
    what = f"request {number}: {status} {body[:200]!r} to {data[:200]!r}"
    assert 200 <= status < 500 or status in allowed, what
    assert status < 400 or not is_valid or json.loads(body)["error"], what
    return 503 if status == 503 else status // 100


def mutate(random: Random, content: bytes) -> bytes:
    """Remove, repeat, replace or insert bytes, once or a few times."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        start = random.randrange(len(changed) + 1)
        end = min(len(changed), start + random.choice((1, 2, 4, 64, 1000)))
        piece = bytes(changed[start:end])
        pieces = (b"", piece * 2, random.randbytes(len(piece)), random.choice(TOKENS) + piece)
        changed[start:end] = random.choice(pieces)
    return bytes(changed[: MAX_BODY_BYTES + 1000])


def break_http(random: Random, request: Request) -> bytes:
    """Return the request in a form that no client should send."""
    whole = request.encode()
    head, _, body = whole.partition(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    which = random.randrange(3)
    words[which] = random.choice((METHODS, TARGETS, VERSIONS)[which])
    chunked = re.sub(rb"\r\nContent-Length: \d+", b"\r\nTransfer-Encoding: chunked", head)
    size = random.choice((*CHUNKS, b"%x" % len(body)))
    kinds = (
        " ".join(words).encode("latin-1") + b"\r\n" + fields + b"\r\n\r\n" + body,
        head + b"\r\n" + random.choice(LINES).encode("latin-1") + b"\r\n\r\n" + body,
        chunked + b"\r\n\r\n" + size + b"\r\n" + body + random.choice((b"\r\n0\r\n\r\n", b"")),
        mutate(random, head) + b"\r\n\r\n" + body,
        whole[: random.randrange(len(whole))],
        whole + random.choice((b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"0\r\n\r\n")),
        random.choice(GARBAGE),
    )
    return random.choice(kinds)
