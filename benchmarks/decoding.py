"""`python -m benchmarks.decoding`: a request's JSON to an array, ours against json and numpy."""

import json
import sys
import timeit
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np

from nncore import scale_pixels
from nncore.types import Array
from service.image_arrays import ImageReader
from service.protocols.predict import Options, decode_pixels

ROUNDS = 5
LEAST_GAIN = 2.5
SHAPES = ((784,), (28, 28), (256, 784), (256, 28, 28))


def main() -> int:
    """Print a table; fail where the gain is lost."""
    reader = ImageReader((28, 28), max_batch=1024)
    rng = np.random.default_rng(0)
    print("| pixels | json + numpy | ours | gain |\n| --- | --- | --- | --- |")
    lost = False
    for shape in SHAPES:
        body = json.dumps({"pixels": rng.integers(0, 256, shape).tolist()}).encode()
        naive, ours = _alternate(partial(_naive, body), partial(_ours, reader, body))
        print(
            f"| {'x'.join(map(str, shape))} | {naive * 1e6:,.0f} µs | {ours * 1e6:,.0f} µs "
            f"| {naive / ours:.1f} |"
        )
        lost |= naive / ours < LEAST_GAIN
    return int(lost)


def _naive(body: bytes) -> Array:
    return scale_pixels(np.array(json.loads(body)["pixels"]).reshape(-1, 784))


def _ours(reader: ImageReader, body: bytes) -> Array:
    return decode_pixels(reader, 10, body, Options())


def _alternate(*functions: Callable[[], object]) -> list[float]:
    """Time functions in turn; give the median over the rounds of the seconds a call takes."""
    timers = [timeit.Timer(function) for function in functions]
    calls = [timer.autorange()[0] for timer in timers]
    rounds = [
        [timer.timeit(number) / number for timer, number in zip(timers, calls, strict=True)]
        for _ in range(ROUNDS)
    ]
    return [median(seconds) for seconds in zip(*rounds, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
