"""The body of a request, and the mutations that any of them stands."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import NamedTuple

MAX_BODY_BYTES = 2**17
_BOMBS = tuple(gzip.compress(bytes(size), mtime=0) for size in (2**20, 2**25))
_NO_TEXT = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xc0\xae", b"\xed\xa0\x80", b"\x80", b"\0", b"\x1a")


class Body(NamedTuple):
    """A body and what the head says of it.

    Attributes:
        content_type: Its type.
        content: Its bytes.
        headers: Those that belong to it, beside type and length.
    """

    content_type: str
    content: bytes
    headers: Mapping[str, str] = MappingProxyType({})


def mutate(random: Random, body: Body, others: Sequence[bytes]) -> Body:
    """Mutate a body byte by byte, or as a whole.

    Args:
        random: Chooses.
        body: Any.
        others: Bodies of other kinds, to be mixed in.
    """
    return random.choice(_MUTATIONS)(random, body, others)


def mutate_bytes(random: Random, content: bytes) -> bytes:
    """Flip, cut, repeat, insert, once or a few times."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        start = random.randrange(len(changed) + 1)
        end = start + random.choice((1, 2, 4, 64, 1000))
        change = random.randrange(5)
        if change == 0 and start < len(changed):
            changed[start] ^= 1 << random.randrange(8)
        elif change == 1:
            del changed[start:end]
        elif change == 2:
            changed[start:start] = changed[start:end]
        elif change == 3:
            changed[start:end] = random.randbytes(min(end, len(changed)) - min(start, len(changed)))
        else:
            changed[start:start] = random.choice(_NO_TEXT)
    return bytes(changed)


def _bytes(random: Random, body: Body, _: Sequence[bytes]) -> Body:
    return body._replace(content=mutate_bytes(random, body.content))


def _truncated(random: Random, body: Body, _: Sequence[bytes]) -> Body:
    return body._replace(content=body.content[: random.randrange(len(body.content) + 1)])


def _marked(random: Random, body: Body, _: Sequence[bytes]) -> Body:
    return body._replace(content=random.choice(_NO_TEXT) + body.content)


def _polyglot(random: Random, body: Body, others: Sequence[bytes]) -> Body:
    other = random.choice(others)
    parts = random.choice(((body.content, other), (other, body.content), (other,)))
    return body._replace(content=b"".join(parts)[: MAX_BODY_BYTES + 1])


def _oversized(random: Random, body: Body, _: Sequence[bytes]) -> Body:
    size = MAX_BODY_BYTES + random.choice((0, 0, 1, 1000))
    return body._replace(content=(body.content * (size // (len(body.content) or 1) + 1))[:size])


def _encoded(random: Random, body: Body, _: Sequence[bytes]) -> Body:
    content = random.choice(_BOMBS)
    if random.random() < 0.8:
        content = gzip.compress(body.content, 1, mtime=0)
        others = (content[:-4], content + b"more", mutate_bytes(random, content), content[10:-8])
        content = random.choice((content, content, *others, gzip.compress(content, 1, mtime=0)))
    encoding = random.choice(
        ("gzip", "deflate", "GZIP", "br", "gzip, gzip", "identity", "", "\xff")
    )
    return body._replace(content=content, headers={**body.headers, "Content-Encoding": encoding})


_MUTATIONS: Sequence[Callable[[Random, Body, Sequence[bytes]], Body]] = (
    *(_bytes, _bytes, _truncated, _marked, _polyglot, _encoded),
    *(_bytes, _bytes, _truncated, _marked, _polyglot, _oversized),
)
