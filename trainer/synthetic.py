"""Handwritten-like digits, drawn from stroke templates and framed the way MNIST frames its own.

A digit is a few pen strokes. `_TEMPLATES` lists the ways people write each one. To make an image,
pick a template, wobble its control points, run smooth curves through them, bend and slant the
curves, scale them to the frame and ink them with a pen of random thickness. Each step works on a
whole chunk of images at once.

Shapes below: n images in a chunk, t templates, c control points, p points along the strokes.
Points are (x, y) with y growing downwards.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["generate_digits"]

_Floats: TypeAlias = NDArray[np.float64]
_Bytes: TypeAlias = NDArray[np.uint8]

_SIDE = 28  # pixels, the side of an image
_CHUNK = 256  # images drawn at once; part of what a seed means, see generate_digits
_PATH_POINTS = 120  # points along the strokes of a digit: most under a pixel apart

# MNIST's frame: ink scaled to fit a box, its centre of mass put on a pixel.
_INK_BOX = 20.0  # pixels
_CENTRE = 14.0  # pixels
_CENTRE_JITTER = 1.0  # pixels, the limit in each direction

# A writer's hand. Lengths are in template boxes.
_WOBBLE = 0.02  # standard deviation of a control point
_WARPS = 3  # sine waves which bend the plane the digit lies in
_WARP_SIZE = 0.1  # greatest amplitude of a wave
_WARP_FREQUENCY = 5.0  # radians a box, at most, along each axis: low, for bends and not kinks
_ROTATION = 0.17  # radians, at most, either way
_SLANT = (-0.25, 0.48)  # range of the lean to the right, per unit of height
_ASPECT = 1.35  # highest factor by which the width is stretched or shrunk

# A pen.
_RADIUS = (0.7, 1.7)  # pixels, thinnest and thickest
_EDGE = 1.3  # pixels, the width of the anti-aliased edge
_BLUR = 0.9  # pixels, the reach of a dab of ink; see _ink

# (digit, relative frequency of this form, strokes). A stroke is a smooth curve through its
# "x,y" points, in percent of the box; a point written twice is a corner, and "/" lifts the pen.
_TEMPLATES = (
    (0, 3, "56,0 30,8 12,36 14,72 40,100 70,90 88,58 82,20 56,0"),  # round
    (0, 3, "68,8 46,2 20,24 12,60 28,94 54,98 80,74 88,36 72,6 46,8"),  # closed by an overshoot
    (0, 2, "50,0 34,14 26,50 34,88 48,100 64,86 72,48 64,12 50,0"),  # slim
    (0, 1, "36,4 18,30 14,68 40,98 72,84 88,48 72,10 46,4 38,20 64,26"),  # curl inside the top
    (1, 9, "50,0 50,100"),  # stick
    (1, 1, "47,0 54,50 51,100"),  # bowed stick
    (1, 1, "32,24 52,0 52,0 52,100"),  # flag
    (1, 1, "30,18 52,0 52,0 52,100 / 26,100 78,100"),  # flag and base
    (2, 3, "20,24 46,0 74,18 64,48 18,98 18,98 86,94"),  # plain
    (2, 3, "18,22 48,0 74,22 60,62 28,98 12,86 32,74 60,90 94,92"),  # looped foot
    (2, 2, "22,18 52,0 70,26 48,66 16,98 10,84 34,76 64,84 98,70"),  # looped foot, rising
    (2, 2, "10,12 48,2 74,16 58,48 14,96 14,96 92,90"),  # flat, like a Z
    (2, 1, "26,26 50,0 70,24 52,70 22,94 44,86 66,98 84,88"),  # wavy foot
    (3, 3, "20,12 52,0 76,20 42,46 42,46 80,70 52,100 16,88"),  # round
    (3, 2, "16,18 50,0 72,16 40,40 40,40 78,56 74,84 50,100"),  # no tail
    (3, 2, "20,5 76,4 76,4 42,40 42,40 80,68 50,100 18,90"),  # flat top
    (3, 2, "22,14 54,0 74,20 50,46 36,46 54,48 80,72 46,100 14,86"),  # turn in the middle
    (3, 2, "26,14 64,0 80,18 42,42 42,42 72,58 62,86 36,100 8,92"),  # leaning
    (4, 3, "24,4 20,50 20,50 82,48 / 68,0 62,100"),  # open
    (4, 2, "26,2 20,44 42,54 74,42 / 76,0 66,50 60,100"),  # open, round
    (4, 2, "64,0 8,59 8,59 86,58 / 66,0 66,100"),  # closed
    (4, 2, "34,0 10,54 10,54 92,46 / 68,22 52,100"),  # open, short stem
    (4, 1, "20,6 18,40 46,44 76,36 76,2 76,2 70,60 68,100"),  # one stroke
    (5, 3, "80,2 32,4 32,4 26,44 58,38 80,64 54,100 14,90"),  # one stroke
    (5, 3, "32,4 26,46 58,40 80,68 50,100 12,90 / 32,4 88,0"),  # separate cap
    (5, 2, "98,0 44,8 32,42 62,54 64,82 36,100 6,92"),  # like an S
    (5, 2, "40,16 30,50 56,48 66,72 46,98 14,92 / 40,16 100,2"),  # long cap
    (6, 3, "64,0 34,28 18,70 44,100 76,80 56,54 26,74"),  # curved back
    (6, 2, "48,0 24,50 26,88 52,100 76,76 54,56 28,82"),  # straight back
    (6, 2, "74,0 36,24 16,66 42,100 80,82 64,52 30,62 28,84"),  # big belly
    (6, 1, "28,0 16,50 30,96 70,96 84,66 58,56 36,90"),  # low and wide
    (7, 3, "16,8 80,4 80,4 46,100"),  # plain
    (7, 2, "16,26 20,8 80,4 80,4 56,48 44,100"),  # serif
    (7, 2, "16,8 78,4 78,4 44,100 / 30,54 80,48"),  # barred
    (7, 1, "12,42 16,10 82,4 82,4 60,50 50,100"),  # long serif
    (7, 2, "16,14 42,3 72,5 72,28 56,60 48,100"),  # round shoulder
    (8, 3, "76,16 50,0 24,18 50,46 78,76 46,100 20,78 48,50 78,22 76,14"),  # one stroke
    (8, 2, "50,46 26,24 50,0 74,22 50,46 22,74 50,100 78,74 50,46"),  # two rings
    (8, 2, "88,8 54,0 26,18 50,44 70,76 44,100 22,82 48,52 90,8"),  # leaning, pointed
    (8, 2, "80,10 46,0 28,18 52,44 60,80 40,100 26,82 52,44 88,18"),  # leaning, open
    (9, 3, "74,16 46,0 22,28 44,52 70,30 74,12 74,12 66,100"),  # straight tail
    (9, 2, "72,14 46,0 22,26 44,52 72,26 74,50 64,92 26,96"),  # curved tail
    (9, 2, "76,6 36,8 22,40 48,48 78,6 78,6 52,100"),  # slanted
    (9, 2, "68,8 34,0 24,30 54,40 74,10 68,50 52,100"),  # small head
    (9, 1, "62,6 28,22 26,48 58,40 76,8 76,8 70,60 68,100"),  # heavy head
)


class _Pens(NamedTuple):
    """The templates as arrays."""

    digits: _Bytes  # (t,) the digit of each
    chances: _Floats  # (t,) the probability of each; those of a digit add up to a tenth
    control: _Floats  # (t, c, 2) control points, in boxes from the box's middle
    curves: _Floats  # (t, p, c) weights of the control points in each point of the path
    inked: _Floats  # (t, p - 1) 1 if a point and the next belong to one stroke, else 0


def generate_digits(count: int, seed: int) -> tuple[_Bytes, _Bytes]:
    """Generate digits, white (255) on black (0).

    Digits are drawn in chunks of a fixed size, each from its own child of the seed: image i depends
    on `seed` and i alone, and more images begin with the same images as fewer.

    Args:
        count: The number of digits, at least 1.
        seed: Any integer of 0 or more.

    Returns:
        Images (count, 28, 28) and labels (count,), uniformly random in 0..9.

    Raises:
        ValueError: If count is less than 1.
    """
    if count < 1:
        raise ValueError(f"expected a count of at least 1, got {count}")
    images = np.empty((count, _SIDE, _SIDE), np.uint8)
    labels = np.empty(count, np.uint8)
    starts = range(0, count, _CHUNK)
    for start, child in zip(starts, np.random.SeedSequence(seed).spawn(len(starts)), strict=True):
        chunk = slice(start, min(start + _CHUNK, count))
        drawn, digits = _draw_chunk(np.random.default_rng(child))
        images[chunk] = drawn[: chunk.stop - start]
        labels[chunk] = digits[: chunk.stop - start]
    return images, labels


def _draw_chunk(rng: np.random.Generator) -> tuple[_Bytes, _Bytes]:
    """Draw one chunk: images (n, 28, 28) and labels (n,)."""
    picks = rng.choice(len(_PENS.digits), _CHUNK, p=_PENS.chances)
    control = _PENS.control[picks]
    paths = _PENS.curves[picks] @ (control + rng.normal(0, _WOBBLE, control.shape))
    paths = _slant(_warp(paths, rng), rng)
    radii = rng.uniform(*_RADIUS, (_CHUNK, 1, 1))
    dabs, lengths = _frame(paths, _PENS.inked[picks], radii, rng)
    return _ink(dabs, lengths, radii), _PENS.digits[picks]


def _warp(paths: _Floats, rng: np.random.Generator) -> _Floats:
    """Bend paths (n, p, 2) smoothly, so that joined strokes stay joined."""
    n = len(paths)
    bent = paths
    for _ in range(_WARPS):
        frequency = rng.uniform(-_WARP_FREQUENCY, _WARP_FREQUENCY, (n, 2, 1))
        phase = rng.uniform(0, 2 * np.pi, (n, 1, 1))
        amplitude = rng.uniform(-_WARP_SIZE, _WARP_SIZE, (n, 1, 2))
        bent = bent + amplitude * np.sin(paths @ frequency + phase)
    return bent


def _slant(paths: _Floats, rng: np.random.Generator) -> _Floats:
    """Stretch, slant, then rotate paths (n, p, 2)."""
    n = len(paths)
    width = _ASPECT ** rng.uniform(-1, 1, n)
    lean = rng.uniform(*_SLANT, n)
    angle = rng.uniform(-_ROTATION, _ROTATION, n)
    x = paths[..., 0] * width[:, None] - paths[..., 1] * lean[:, None]
    y = paths[..., 1]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _frame(
    paths: _Floats, inked: _Floats, radii: _Floats, rng: np.random.Generator
) -> tuple[_Floats, _Floats]:
    """Scale and centre paths (n, p, 2) as MNIST does, for pens of radii (n, 1, 1) pixels.

    Returns the middle of each path segment (n, p - 1, 2) and its inked length (n, p - 1, 1), both
    in pixels.
    """
    extent = np.ptp(paths, axis=1).max(axis=1)[:, None, None]
    paths = paths * (_INK_BOX - 2 * radii) / extent
    middles = (paths[:, 1:] + paths[:, :-1]) / 2
    lengths = np.linalg.norm(np.diff(paths, axis=1), axis=2, keepdims=True) * inked[..., None]
    shares = lengths / lengths.sum(axis=1, keepdims=True)
    mass_centre = (middles * shares).sum(axis=1, keepdims=True)
    jitter = rng.uniform(-_CENTRE_JITTER, _CENTRE_JITTER, mass_centre.shape)
    return middles - mass_centre + _CENTRE + jitter, lengths


def _ink(dabs: _Floats, lengths: _Floats, radii: _Floats) -> _Bytes:
    """Draw images (n, 28, 28) of dabs (n, p - 1, 2) a pen of radii (n, 1, 1) leaves, in pixels.

    Each dab is a Gaussian weighted by the length of path it stands for. At distance d from a long
    stroke their sum is exp(-(d / blur)²), which gives d back. A Gaussian is a column times a row,
    so the sum over dabs is one matrix product per image; distances to every segment would take an
    array p times as large.
    """
    pixels = np.arange(_SIDE)
    columns = np.exp(-(((dabs[..., :1] - pixels) / _BLUR) ** 2))
    rows = np.exp(-(((dabs[..., 1:] - pixels) / _BLUR) ** 2)) * lengths
    field = rows.transpose(0, 2, 1) @ columns / (_BLUR * np.sqrt(np.pi))
    faintest = np.finfo(np.float64).tiny
    distances = _BLUR * np.sqrt(-np.log(np.clip(field, faintest, 1.0)))
    coverage: _Floats = np.clip((radii - distances) / _EDGE + 0.5, 0.0, 1.0)
    return np.rint(255 * coverage).astype(np.uint8)


def _curve(control_count: int, point_count: int) -> _Floats:
    """Return Catmull-Rom weights (point_count, control_count) of evenly spaced points."""
    at = np.linspace(0, control_count - 1, point_count)[:, None]
    x = np.abs(at - np.arange(-1, control_count + 1))
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    kernel = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    kernel[:, 1] += kernel[:, 0]  # the ends have no further neighbour
    kernel[:, -2] += kernel[:, -1]
    return kernel[:, 1:-1]


def _parse_templates() -> _Pens:
    """Convert `_TEMPLATES` to arrays, padded to the largest number of control points."""
    strokes = [[s.split() for s in text.split("/")] for _, _, text in _TEMPLATES]
    digits = np.array([digit for digit, _, _ in _TEMPLATES], np.uint8)
    common = np.array([weight for _, weight, _ in _TEMPLATES], np.float64)
    t, c = len(_TEMPLATES), max(sum(map(len, path)) for path in strokes)
    pens = _Pens(
        digits,
        chances=common / np.bincount(digits, common)[digits] / 10,
        control=np.zeros((t, c, 2)),
        curves=np.zeros((t, _PATH_POINTS, c)),
        inked=np.ones((t, _PATH_POINTS - 1)),
    )
    for i, path in enumerate(strokes):
        points = np.array([point.split(",") for stroke in path for point in stroke], np.float64)
        pens.control[i, : len(points)] = points / 100 - 0.5
        rows, first = _PATH_POINTS // len(path), 0
        for k, stroke in enumerate(path):
            last = first + len(stroke)
            pens.curves[i, k * rows : (k + 1) * rows, first:last] = _curve(len(stroke), rows)
            first = last
        pens.inked[i, rows - 1 :: rows] = 0
    return pens


_PENS = _parse_templates()
