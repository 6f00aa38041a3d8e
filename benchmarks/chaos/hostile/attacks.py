"""Which hostile request comes when."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import NamedTuple

from benchmarks.chaos.hostile.arrays import (
    hostile_csv,
    hostile_levels,
    hostile_npy,
    hostile_tensor,
)
from benchmarks.chaos.hostile.body import Body, mutate
from benchmarks.chaos.hostile.forms import hostile_form
from benchmarks.chaos.hostile.framing import Message, chunked, mangle
from benchmarks.chaos.hostile.json_bodies import PROTOCOLS, hostile_json
from benchmarks.chaos.hostile.pictures import corpus, hostile_picture

_NO_BODY = Body("", b"")
_PLACE = re.compile(r"<(?:\w+:)?(\w+)>")
# What stands in a path for a part of it that varies; what is right comes most often.
_PARTS = {
    "name": ("mnist",) * 12 + ("other", "%00", "..", "%ff", "a" * 300, "%e2%80%ae", "mnist%2f1"),
    "version": ("1",) * 12 + ("0", "2", "-1", "9" * 9, "9" * 400, "%d9%a1", "1.0", "01", "%00"),
    "file": ("x", "..%2f..%2fapp.py", "%00", "a" * 300),
    "filename": ("base.css", "icon.png", "..%2fpage.py", "%00", "x"),
}
_QUERIES = (
    *("top_k=3", "range=0,1", "include=pixels,attributions", "top_k=0", "top_k=%00", "top_k=1e999"),
    *("top_k=3&top_k=3", "range=1,0", "include=", "include=pixels,pixels", "%ff=%fe", "&&&=", "x"),
    *("top_k=" + "9" * 4000, "a=b&" * 1000, "top_k=%d9%a3", "range=0%2C255&include=attributions"),
)
_HEADERS = (
    *("Accept: text/html", "Accept: \xff;q=nan", "Accept: application/openmetrics-text; version=9"),
    *("Accept: */*;q=1e999", "Accept: " + "a/b," * 1000, "X-Request-ID: \xff"),
    *("X-Request-ID: " + "a" * 4000, "traceparent: \xff\xfe", 'If-None-Match: "'),
    *("If-Modified-Since: 99 Foo 99999", "Range: bytes=5-1", "X-Forwarded-For: \xff"),
    *("Authorization: Basic \xff", "Cookie: \xff=x", "Accept-Encoding: \xff"),
    *("Content-Language: x", 'Forwarded: for="[::"', "X-Forwarded-Host: a b"),
    "Accept-Charset: utf-7",
)
_HOSTS = (
    *("x", "x", "x", "x", "x", "x", "[::", "a b", "\xff", "x:99999999", "<script>", "", "x" * 300),
    "..",
)


class Attack(NamedTuple):
    """A hostile request.

    Attributes:
        number: Which one it is.
        data: Its bytes.
        is_whole: Whether it is one request by the rules of HTTP: it has to be answered, once, and
            another may follow it.
        method: How its answer is to be read.
    """

    number: int
    data: bytes
    is_whole: bool
    method: str


class Attacks:
    """Makes hostile requests.

    Args:
        seed: Of all of them.
        doors: The routes, as in "GET /health"; each has its share.
    """

    def __init__(self, seed: int, doors: Sequence[str]) -> None:
        self._seed = seed
        self._doors = [tuple(door.split(" ", 1)) for door in doors]
        # There is far more to get wrong where there is a body.
        self._weights = [8 if method == "POST" else 1 for method, _ in self._doors]
        pictures = corpus()
        self._files = [data for files in pictures.values() for data in files]
        self._makers: Mapping[str, Callable[[Random], Body]] = {
            **{protocol: partial(hostile_json, protocol=protocol) for protocol in PROTOCOLS},
            "picture": partial(hostile_picture, files=pictures),
            "form": partial(hostile_form, files=self._files),
            "levels": hostile_levels,
            "npy": hostile_npy,
            "csv": hostile_csv,
            "tensor": hostile_tensor,
        }

    def make(self, number: int) -> Attack:
        """Make the one of a number."""
        random = Random(f"{self._seed}/{number}")
        method, rule = random.choices(self._doors, self._weights)[0]
        body = self._body(random, rule) if method == "POST" or random.random() < 0.1 else _NO_BODY
        if random.random() < 0.05:
            method = random.choice(("GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH"))
        message = self._message(random, method, rule, body)
        if random.random() < 0.2:
            data = mangle(random, message)
            return Attack(number, data, is_whole=False, method=data[:5].decode("latin-1").strip())
        if random.random() < 0.2:
            framed = chunked(random, message.body)
            data = message.to_bytes("Transfer-Encoding: chunked", body=framed)
        else:
            data = message.to_bytes()
        return Attack(number, data, is_whole=True, method=method)

    def _body(self, random: Random, rule: str) -> Body:
        fitting = (kinds for end, kinds in _KINDS_BY_END.items() if rule.endswith(end))
        kinds = next(fitting, None) if random.random() < 0.9 else None
        body = self._makers[random.choice(kinds or (*self._makers,))](random)
        return mutate(random, body, self._files) if random.random() < 0.3 else body

    @staticmethod
    def _message(random: Random, method: str, rule: str, body: Body) -> Message:
        path = _PLACE.sub(lambda place: random.choice(_PARTS.get(place[1], ("x",))), rule)
        if random.random() < 0.15:
            path += "?" + random.choice(_QUERIES)
        content_type = body.content_type
        if random.random() < 0.05:
            content_type = random.choice(_TYPES)
        headers = [f"Host: {random.choice(_HOSTS)}"]
        if content_type:
            headers.append(f"Content-Type: {content_type}")
        headers += [f"{name}: {value}" for name, value in body.headers.items()]
        if random.random() < 0.15:
            headers.append(random.choice(_HEADERS))
        return Message(method, path, headers, body.content)


# By how a route ends, which bodies it takes.
_KINDS_BY_END = {
    "/predict": ("predict", "predict", "levels", "npy", "picture", "picture", "form"),
    ":predict": ("v1",),
    "/invocations": ("mlflow", "mlflow", "csv"),
    "/infer": ("v2", "tensor"),
    "/index": ("index",),
}
_TYPES = (
    *("application/json", "application/x-npy", "image/png", "image/gif", "text/csv", "text/plain"),
    *("multipart/form-data", "application/x-www-form-urlencoded", "application/octet-stream", "x"),
    *("application/json; charset=utf-16", "\xff/\xff", "application/json;" * 100, "a" * 4000, ";"),
)
