"""JSON of every protocol, mutated as a tree."""

from collections.abc import Callable, Mapping
from itertools import chain
from random import Random
from typing import Any

import orjson

from benchmarks.chaos.hostile.body import Body, mutate_bytes

_JSON = "application/json"
# Stands in the tree for what no Python object is written as.
_HOLE = "@hole@"
_DEEP = 100_000
_HOSTILE = (
    *(b"1e999", b"-1e999", b"1e-999", b"-0", b"-0.0", b"NaN", b"Infinity", b"-Infinity", b"-1"),
    *(b"18446744073709551616", b"9223372036854775808", b"-9223372036854775809", b"9" * 5000),
    *(b"0." + b"1" * 5000, b"1e+", b"01", b"+1", b".5", b"1.", b"0x10", b"1_000", b"256", b"255.5"),
    *(b"null", b"true", b"false", b"nul", b"[]", b"{}", b"[[]]", b'{"a":1}', b"", b"'1'", b"//"),
    *(b'""', b'"1"', b'"\\ud800"', b'"\\u0000"', b'"\\x"', b'"\xff"', b'"\n"', b'"', b'"[[["'),
    *(b'"%s"' % (b"a" * 5000), b'"\xf0\x9f\x98\x80"', b"\xef\xbb\xbf", b"\0", b"1,", b",1", b"1 1"),
    *(b"[" * 50 + b"]" * 50, b"[" * 2000 + b"]" * 2000, b'{"a":' * 2000 + b"1" + b"}" * 2000),
    *(b"[" * _DEEP, b'{"a":' * (_DEEP // 10), b"[" * (_DEEP // 2) + b"]" * (_DEEP // 2)),
    *(b"[" + b"1," * 5000 + b"1]", b"{" + b'"a":1,' * 2000 + b'"a":1}'),
)
_NAMES = (
    *("pixels", "instances", "inputs", "data", "shape", "id", "parameters", "__proto__", "", "é"),
)


def hostile_json(random: Random, protocol: str) -> Body:
    """Make a valid document of a protocol, and, most often, spoil it.

    Args:
        random: Chooses.
        protocol: One of `PROTOCOLS`.
    """
    document = PROTOCOLS[protocol](random)
    content = random.choice(_MUTATIONS)(random, document)
    return Body(_JSON, content)


def _predict(random: Random) -> dict[str, Any]:
    document: dict[str, Any] = {"pixels": _images(random, 1)}
    if random.random() < 0.3:
        document["range"] = [0, random.choice((1, 255))]
    if random.random() < 0.3:
        document["top_k"] = random.randrange(-1, 12)
    return document


def _v1(random: Random) -> dict[str, Any]:
    images = _images(random, 255)
    if random.random() < 0.3:
        images = [{"images": image} for image in images]
    document: dict[str, Any] = {random.choice(("instances", "inputs")): images}
    if random.random() < 0.2:
        document["signature_name"] = random.choice(("serving_default", "", "other"))
    return document


def _mlflow(random: Random) -> dict[str, Any]:
    if random.random() < 0.5:
        return _v1(random)
    rows = [[*chain(*image)] for image in _images(random, 255)]
    frame = {"columns": list(range(784)), "index": list(range(len(rows))), "data": rows}
    return {random.choice(("dataframe_split", "dataframe_split", "dataframe_records")): frame}


def _v2(random: Random) -> dict[str, Any]:
    images = _images(random, 1)
    tensor: dict[str, Any] = {
        "name": "images",
        "datatype": random.choice(("UINT8", "UINT8", "FP32", "FP64", "FP16", "BYTES", "INT64")),
        "shape": [len(images), 28, 28],
        "data": images,
    }
    if random.random() < 0.3:
        tensor["shape"] = random.choice(([1, 784], [2**32, 2**32, 784], [-1, 784], [2**63, 28, 28]))
    document: dict[str, Any] = {"inputs": [tensor]}
    if random.random() < 0.5:
        parameters = {random.choice(("classification", "binary_data")): random.choice((1, 3, True))}
        output = {"name": random.choice(("label", "probabilities")), "parameters": parameters}
        document |= {"id": "x", "outputs": [output]}
    return document


def _index(random: Random) -> dict[str, Any]:
    return {"ready": random.choice((True, False))}


PROTOCOLS: Mapping[str, Callable[[Random], dict[str, Any]]] = {
    "predict": _predict,
    "v1": _v1,
    "mlflow": _mlflow,
    "v2": _v2,
    "index": _index,
}


def _images(random: Random, divisor: int) -> list[Any]:
    images: list[Any] = [_image(random) for _ in range(random.choice((1, 1, 2, 9)))]
    if divisor == 1:
        return images
    return [[[level / divisor for level in row] for row in rows] for rows in images]


def _image(random: Random) -> list[list[int]]:
    levels = random.randbytes(784)
    return [list(levels[start : start + 28]) for start in range(0, 784, 28)]


def _whole(_: Random, document: dict[str, Any]) -> bytes:
    return orjson.dumps(document)


def _replaced(random: Random, document: dict[str, Any]) -> bytes:
    """Put something hostile in the place of a node, or beside it."""
    holder: Any = document
    while True:
        key = random.choice(list(holder)) if isinstance(holder, dict) else None
        place: Any = random.randrange(len(holder)) if key is None else key
        inner = holder[place]
        if not isinstance(inner, dict | list) or not inner or random.random() < 0.3:
            break
        holder = inner
    if isinstance(holder, list) and random.random() < 0.3:
        holder.insert(place, _HOLE)
    else:
        holder[place] = _HOLE
    token = random.choice(_HOSTILE)
    return orjson.dumps(document).replace(f'"{_HOLE}"'.encode(), token)


def _renamed(random: Random, document: dict[str, Any]) -> bytes:
    """Add a member, lose one, or have one twice."""
    name = random.choice(list(document))
    change = random.randrange(3)
    if change == 0:
        document[random.choice(_NAMES)] = random.choice((None, 1, "x", [], {}, [[1]]))
    elif change == 1:
        document[random.choice(_NAMES)] = document.pop(name)
    text = orjson.dumps(document).decode()
    if change == 2:
        value = random.choice(("1", "null", text, orjson.dumps(document[name]).decode()))
        text = random.choice((f'{{"{name}":{value},{text[1:]}', f'{text[:-1]},"{name}":{value}}}'))
    return text.encode(errors="replace")


def _recoded(random: Random, document: dict[str, Any]) -> bytes:
    text = orjson.dumps(document).decode()
    encoding = random.choice(("utf-8-sig", "utf-16", "utf-32", "utf-7"))
    return text.encode(encoding)


def _bytes(random: Random, document: dict[str, Any]) -> bytes:
    return mutate_bytes(random, orjson.dumps(document))


def _alone(random: Random, _: dict[str, Any]) -> bytes:
    return random.choice(_HOSTILE)


_MUTATIONS = (
    *(_whole, _replaced, _replaced, _replaced, _replaced, _renamed, _recoded, _bytes, _alone),
)
