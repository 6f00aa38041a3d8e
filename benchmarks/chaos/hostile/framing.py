"""Requests that are none: heads and framings that no client should send."""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from benchmarks.chaos.hostile.body import mutate_bytes

_METHODS = (
    *("get", "G\0T", "POST POST", "", "\xe9", "PRI", "TRACE", "CONNECT", "OPTIONS", "PUT"),
    *("DELETE", "A" * 5000, "GET\t", "(GET)", "PATCH", "QUERY"),
)
_PATHS = (
    *("*", "predict", "//predict", "/../../etc/passwd", "/%", "/%zz", "/%00", "/\0"),
    *("/%c0%ae%c0%ae", "/" + "a" * 10_000, "http://x/predict", "http://[::/", "/predict#x"),
    *("/\xff", "/predict?" + "a&" * 3000, "/v1/models/%2e%2e:predict", "/v2/models/../../x/infer"),
    *("/predict%0d%0aX: y", "/a b", "?", "/page/..%2fpage.py", "/docs/examples/%2e%2e"),
    "/v2/models/mnist/versions/" + "9" * 400,
)
_VERSIONS = (
    *("HTTP/0.9", "HTTP/2.0", "HTTP/1.9", "HTTP/3", "http/1.1", "HTTP/1.1 x", "", "\xff", "X/1.1"),
)
_LENGTHS = (
    *("-1", "+5", "0x10", "1e3", "5,5", "5, 6", "", " ", "9" * 30, "9" * 5000, "\xb2", "1_0"),
    "5\0",
)
_CODINGS = (
    *("chunked, chunked", "gzip, chunked", "identity", "xchunked", "\x0bchunked", "chunked, gzip"),
    *("", ",", "deflate", "chunked;q=1", "\xff"),
)
_LINES = (
    *("no colon", ": x", "X Y: z", "X : y", " folded: x", "\tfolded", "X\0: y", "X: \0", "X: a\rb"),
    *("X_Underscore: y", "\xff: \xfe", "X: \xff\xfe", "Host: a\r\nHost: b", "Host: [::", "Host:"),
    *("Expect: 100-continue", "Expect: 200-maybe", "Connection: \xff", "Upgrade: h2c"),
    "X: " + "y" * 9000,
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
    *("X: y\r\n" * 99 + "X: y", "X: y\r\n" * 5000 + "X: y"),
    *("X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off", "Cookie: " + "a=b; " * 1000),
    *("Content-Type: \xff", 'Content-Type: a/b; c="' + "d" * 4000),
)
_GARBAGE = (
    *(b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(400), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    *(b"\r\n" * 5000, b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", b"\0" * 10_000, b"GET /health\r\n"),
    *(b"\n", b"GET", b" ", b"GET / HTTP/1.1\n\n", b"GET / HTTP/1.1\r\r\n\n", b"A" * 100_000),
    b"HTTP/1.1 200 OK\r\n\r\n",
)
_SIZE_LINES = (
    *(b"zz", b"-1", b"+5", b"0x5", b"5 5", b"", b"5;", b"\xff", b"ffffffffffffffff", b"f" * 3000),
    *(b"f" * 100_000, b"5;" + b"a" * 100_000, b"5;a\rb", b"00000000005", b"5\n"),
)


class Message(NamedTuple):
    """A request before it is bytes, of which any part may be wrong.

    Attributes:
        method: The method.
        target: Path and query.
        headers: Lines, without their ends, and without the one that tells the length.
        body: The body.
    """

    method: str
    target: str
    headers: Sequence[str]
    body: bytes

    def line(self) -> str:
        """Give the first line."""
        return f"{self.method} {self.target} HTTP/1.1"

    def to_bytes(self, *framing: str, first: str | None = None, body: bytes | None = None) -> bytes:
        """Write it down.

        Args:
            framing: The header lines that tell where the body ends; its length when none.
            first: Another first line.
            body: Another body than what is framed.
        """
        lines = framing or (f"Content-Length: {len(self.body)}",)
        head = "\r\n".join((self.line() if first is None else first, *self.headers, *lines, "", ""))
        return head.encode("latin-1", "replace") + (self.body if body is None else body)


def mangle(random: Random, message: Message) -> bytes:
    """Write a message down as no client should."""
    return random.choice(_MANGLES)(random, message)


def chunked(random: Random, body: bytes) -> bytes:
    """Cut a body into chunks of any sizes, well-formed."""
    chunks, start = [], 0
    size = random.choice((1, 7, 1000, 2**14)) if len(body) < 2**12 else random.choice((1000, 2**14))
    while start < len(body):
        piece = body[start : start + random.randint(1, size)]
        extension = random.choice((b"", b"", b";a=b", b' ; a="b c"'))
        chunks.append(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece))
        start += len(piece)
    return b"".join(chunks) + b"0\r\n" + random.choice((b"", b"", b"X-Trailer: y\r\n")) + b"\r\n"


def _length(random: Random, message: Message) -> bytes:
    right = len(message.body)
    lengths = (right + 1, right + 10_000, right - 1, right // 2, 0, 2**63, *_LENGTHS)
    lines = [f"Content-Length: {random.choice(lengths)}"]
    if random.random() < 0.3:
        lines.append(random.choice((f"Content-Length: {right}", "Transfer-Encoding: chunked")))
    return message.to_bytes(*lines)


def _coding(random: Random, message: Message) -> bytes:
    return message.to_bytes(f"Transfer-Encoding: {random.choice(_CODINGS)}")


def _chunks(random: Random, message: Message) -> bytes:
    """Break the chunks: a size, an end, the trailers, or some bytes of them."""
    body = chunked(random, message.body)
    change = random.randrange(5)
    if change == 0:
        body = random.choice(_SIZE_LINES) + b"\r\n" + body
    elif change == 1:
        body = body[: random.randrange(len(body))]
    elif change == 2:
        body = mutate_bytes(random, body)
    elif change == 3:
        trailers = (b"X: y\r\n" * 10_000, b"a" * 100_000, b"no colon\r\n", b": \0\r\n", b"\xff")
        body = body[:-2] + random.choice(trailers) + b"\r\n"
    else:
        body = body.replace(b"\r\n", random.choice((b"\n", b"\r", b"\r\n\r\n")))
    return message.to_bytes("Transfer-Encoding: chunked", body=body)


def _first_line(random: Random, message: Message) -> bytes:
    words = [message.method, message.target, "HTTP/1.1"]
    place = random.randrange(3)
    words[place] = random.choice((_METHODS, _PATHS, _VERSIONS)[place])
    first = random.choice((" ",) * 8 + ("  ", "\t", "")).join(words)
    return message.to_bytes(first=first)


def _headers(random: Random, message: Message) -> bytes:
    lines = [*message.headers]
    lines.insert(random.randrange(len(lines) + 1), random.choice(_LINES))
    return message._replace(headers=lines).to_bytes()


def _bytes(random: Random, message: Message) -> bytes:
    whole = message.to_bytes()
    end = whole.index(b"\r\n\r\n")
    return mutate_bytes(random, whole[:end]) + whole[end:]


def _truncated(random: Random, message: Message) -> bytes:
    whole = message.to_bytes()
    return whole[: random.randrange(len(whole))]


def _garbage(random: Random, _: Message) -> bytes:
    return random.choice((*_GARBAGE, random.randbytes(300)))


def _two(random: Random, message: Message) -> bytes:
    """Send a second request that hides in the first one's rest."""
    hidden = message._replace(method="GET", target="/health", body=b"").to_bytes()
    return message.to_bytes() + random.choice((hidden, hidden[:-2], b"0\r\n\r\n" + hidden))


_MANGLES: Sequence[Callable[[Random, Message], bytes]] = (
    *(_length, _coding, _chunks, _chunks, _first_line, _headers),
    *(_bytes, _truncated, _garbage, _two),
)
