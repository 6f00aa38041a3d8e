"""Digits as a person draws them with a mouse."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

# Strokes of (x, y), in shares of the sheet's side.
Strokes: TypeAlias = Sequence[Sequence[tuple[float, float]]]

_SHEET = 360
_BRUSH_SHARE = 1 / 16  # as in sheet.js

# Corners in percent of the digit's box.
_POLYLINES = {
    0: ["50,0 25,8 10,30 8,60 18,88 45,100 72,92 90,65 90,35 75,8 50,0"],
    1: ["35,20 55,0 55,100"],
    2: ["12,25 25,6 50,0 75,8 85,28 72,50 40,75 10,100 90,100"],
    3: ["12,12 40,0 72,6 80,25 65,42 40,48 68,54 85,72 72,92 42,100 10,90"],
    4: ["60,0 8,65 92,65", "68,30 68,100"],
    5: ["85,0 22,0 16,45 45,38 75,45 88,68 74,92 42,100 10,90"],
    6: ["72,0 42,15 20,45 12,72 25,95 52,100 78,90 82,68 62,54 35,58 15,75"],
    7: ["8,0 92,0 60,45 38,100"],
    8: ["50,46 22,30 24,8 50,0 76,8 78,30 50,46 18,66 16,90 50,100 84,90 82,66 50,46"],
    9: ["85,30 70,50 40,52 18,36 22,12 48,0 75,6 85,30 82,60 70,100"],
}


def digit(label: int) -> Strokes:
    """Return a digit in the middle of the sheet."""
    strokes = []
    for line in _POLYLINES[label]:
        points = np.array([corner.split(",") for corner in line.split()], float) / 100
        strokes.append((points * (0.5, 0.7) + (0.25, 0.15)).tolist())
    return strokes


def picture(strokes: Strokes) -> Image.Image:
    """Return strokes as the page's sheet shows them."""
    side = 4 * _SHEET  # for smooth edges
    sheet = Image.new("L", (side, side), 255)
    pencil = ImageDraw.Draw(sheet)
    radius = side * _BRUSH_SHARE / 2
    for stroke in strokes:
        points = [(side * x, side * y) for x, y in stroke]
        pencil.line(points, 0, round(2 * radius), joint="curve")
        for x, y in points:
            pencil.ellipse((x - radius, y - radius, x + radius, y + radius), 0)
    return sheet.resize((_SHEET, _SHEET), Image.Resampling.BOX)
