"""Images as bytes: grey levels, `.npy` files, CSV, and the binary tensors of protocol v2."""

import json
import pickle
import struct
from random import Random
from typing import Any

from benchmarks.chaos.hostile.body import Body

_SIZE = 784
_PICKLE = pickle.dumps([b"pixels"] * 3)
_DESCRIPTIONS = (
    *("'|u1'", "'|u1'", "'|u1'", "'<f4'", "'<f8'", "'>f4'", "'<i8'", "'|b1'", "'<f2'", "'<u8'"),
    *("'|O'", "'O'", "'<U8'", "'|S784'", "'<c8'", "'<f16'", "'|V8'", "'<M8[s]'", "'f'", "''"),
    *("[('a', '<f4')]", "[('a', '|O')]", "('|u1', (784,))", "None", "'|u9'", "'<f4,<f4'", "u1"),
)
_SHAPES = (
    *("(784,)", "(28, 28)", "(1, 784)", "(2, 28, 28)", "(0, 784)", "()", "(784)", "(8, 784)"),
    *("(1000000000000000000, 784)", "(9223372036854775808, 784)", "(18446744073709551616,)"),
    *("(4294967296, 4294967296, 784)", "(-1, 784)", "(1.0, 784)", "[784]", "'784'", "None"),
    *(f"({'1, ' * 500})", f"({'9' * 5000},)", "(784, 1)", "(1, 1, 784)", "(True, 784)"),
)
_LEVELS = tuple(str(level / 255) for level in range(256))
_ITEM_SIZES = {"FP32": 4, "FP64": 8, "FP16": 2, "UINT8": 1}
_FIELDS = (
    *("1e999", "-0", "nan", "inf", "256", "-1", "", '"1"', "1 1", "0x1", "9" * 5000, "1e-999", "é"),
    *("\0", "\ufeff0", "[", "]", "],[", "1;1", "+1", ".5", "1.", "--1", "1e", "e5"),
)


def hostile_levels(random: Random) -> Body:
    """Make `application/octet-stream`, of a right size or a wrong one."""
    count = random.choice((0, 1, 2, 8, 9, 20))
    size = max(0, _SIZE * count + random.choice((0, 0, 0, 1, -1, 27, 391)))
    return Body("application/octet-stream", random.randbytes(size))


def hostile_npy(random: Random) -> Body:
    """Make a `.npy` file with a header of any kind."""
    members = [
        f"'descr': {random.choice(_DESCRIPTIONS)}",
        f"'fortran_order': {random.choice(('False', 'False', 'True', '0', 'None'))}",
        f"'shape': {random.choice(_SHAPES)}",
    ]
    if random.random() < 0.2:
        members[random.randrange(3)] = random.choice((*members, "'x': __import__('os')", "'x': 1"))
    header = f"{{{', '.join(members)}, }}"
    header += " " * random.choice((0, 10, 10, 900, 5000)) + "\n"
    version = random.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\0\0", b"\4\0", b"\xff\xff"))
    length = len(header) + random.choice((0, 0, 0, 0, 1, -1, -20, 60_000))
    size = struct.pack("<H" if version == b"\1\0" else "<I", max(0, length) & 0xFFFF)
    data = random.choice(
        (random.randbytes(_SIZE), bytes(_SIZE * 8), _PICKLE, b"", bytes(_SIZE * 4))
    )
    return Body("application/x-npy", b"\x93NUMPY" + version + size + header.encode() + data)


def hostile_csv(random: Random) -> Body:
    """Make lines of numbers, of which some are none."""
    lines = [
        [_LEVELS[level] for level in random.randbytes(_SIZE + random.choice((0, 0, 0, 1, -1)))]
        for _ in range(random.choice((0, 1, 1, 3, 9)))
    ]
    if lines and random.random() < 0.3:
        lines.insert(0, random.choice((list(map(str, range(_SIZE))), ["a"] * _SIZE, ["", "", ""])))
    for line in lines[: random.randrange(3)]:
        line[random.randrange(len(line))] = random.choice(_FIELDS)
    separator = random.choice((",", ",", ",", ", ", ";", "\t", ",,"))
    end = random.choice(("\n", "\n", "\r\n", "\r", "\n\n", "\0"))
    content = end.join(separator.join(line) for line in lines)
    return Body("text/csv", content.encode(errors="replace"))


def hostile_tensor(random: Random) -> Body:
    """Make a request of protocol v2 with binary data, whose sizes may not add up."""
    datatype = random.choice((*_ITEM_SIZES, *_ITEM_SIZES, "INT64", "BYTES", "", 7, None))
    count = random.choice((1, 1, 2, 9))
    right = count * _SIZE * _ITEM_SIZES.get(str(datatype), 4)
    data = bytes(right + random.choice((0, 0, 0, 1, -1, 100)))
    if random.random() < 0.2:
        data = random.randbytes(len(data))
    tensor: dict[str, Any] = {
        "name": "images",
        "shape": random.choice(_tensor_shapes(count)),
        "datatype": datatype,
        "parameters": {"binary_data_size": random.choice(_sizes(right))},
    }
    if random.random() < 0.1:
        tensor["data"] = [0] * _SIZE
    document: dict[str, Any] = {
        "inputs": random.choice(([tensor], [tensor], [tensor], [tensor, tensor], [], tensor)),
        "parameters": {"binary_data_output": random.choice((True, False, 1, None))},
    }
    text = json.dumps(document).encode()
    sizes = (*map(str, _sizes(len(text))), "1e3", "+5", "\xb2", "0x10", "5,5", "9" * 5000, "")
    size = random.choice((str(len(text)), str(len(text)), *sizes))
    headers = {"Inference-Header-Content-Length": size}
    return Body("application/octet-stream", text + data, headers)


def _tensor_shapes(count: int) -> tuple[Any, ...]:
    right = ([count, 28, 28], [count, _SIZE]) * 3
    overflowing = (
        [2**32, 2**32, _SIZE],
        [2**62, 4, _SIZE],
        [2**63, _SIZE],
        [2**64 // _SIZE, _SIZE],
    )
    others: tuple[Any, ...] = (
        [-count, _SIZE],
        [0, _SIZE],
        [],
        None,
        [count, -28, -28],
        [1.0, _SIZE],
        [True, _SIZE],
    )
    return (*right, *overflowing, *others, [1] * 1000, "x", [count, [28], 28], [-1, -1])


def _sizes(right: int) -> tuple[Any, ...]:
    wrong = (right + 1, right - 1, 0, -1, -right, 2**31, 2**32 + right, 2**63, 2**64 - 1, 2**64)
    return (*(right,) * 10, *wrong, float(right), str(right), True, [right], 1e300)
