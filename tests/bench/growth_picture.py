"""The picture of `tests.bench.growth`: seconds above and memory below, one column a series."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image as Picture
from PIL import ImageDraw

from vertseg.report.drawing import font

_COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189))
_GREY, _LIGHT = (110, 110, 110), (225, 225, 225)
_WIDTH, _HEIGHT, _LEFT, _TOP = 420, 330, 74, 46
_LINES = {"processor_s": "processor s", "peak_gib": "GiB"}

Rows = Sequence[Mapping[str, float]]


def picture(figures: Mapping[str, Rows]) -> Picture.Image:
    """Processor seconds and peak memory of each series over its size, all axes logarithmic.

    Grey lines are what processor time would be if it rose as voxels do.
    """
    size = (_WIDTH * len(figures), _HEIGHT * len(_LINES))
    whole = Picture.new("RGB", size, "white")
    draw = ImageDraw.Draw(whole)
    for column, (name, rows) in enumerate(figures.items()):
        for line, key in enumerate(_LINES):
            corner = (column * _WIDTH, line * _HEIGHT)
            _Panel(draw, corner, name, rows, key).draw(_COLOURS[column % len(_COLOURS)])
    return whole


class _Panel:
    """One pair of axes and the values of one series in it."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, corner: tuple[int, int], name: str, rows: Rows, key: str
    ) -> None:
        self._draw, self._rows, self._key = draw, rows, key
        self._title = f"{_LINES[key]} over {name}"
        left, top = corner[0] + _LEFT, corner[1] + _TOP
        self._box = (left, top, corner[0] + _WIDTH - 24, corner[1] + _HEIGHT - 40)
        self._sizes = [row["size"] for row in rows]
        self._values = [row[key] for row in rows]
        per_voxel = self._values[0] / rows[0]["megavoxels"]
        of_time = key == "processor_s"
        self._linear = [per_voxel * row["megavoxels"] for row in rows] if of_time else []
        shown = [*self._values, *self._linear]
        self._low, self._high = min(shown) / 1.2, max(shown) * 1.2

    def draw(self, colour: tuple[int, int, int]) -> None:
        """Frame, ticks, the grey line and the values."""
        left, top, right, bottom = self._box
        self._draw.text((left, top - 34), self._title, "black", font(17, bold=True))
        for value in _ticks(self._low, self._high):
            y = self._place(self._sizes[0], value)[1]
            self._draw.line((left, y, right, y), _LIGHT)
            self._draw.text((left - 8, y), f"{value:g}", _GREY, font(15), "rm")
        for size in self._sizes:
            x = self._place(size, self._low)[0]
            self._draw.text((x, bottom + 8), f"{size:g}", _GREY, font(15), "ma")
        self._draw.rectangle(self._box, outline=_GREY)
        if self._linear:
            self._draw.line(self._points(self._linear), _GREY, 1)
            self._draw.text((left + 10, top + 8), "grey: as voxels", _GREY, font(15))
        points = self._points(self._values)
        self._draw.line(points, colour, 3)
        for x, y in points:
            self._draw.ellipse((x - 4, y - 4, x + 4, y + 4), colour)

    def _points(self, values: Sequence[float]) -> list[tuple[float, float]]:
        return [self._place(*pair) for pair in zip(self._sizes, values, strict=True)]

    def _place(self, size: float, value: float) -> tuple[float, float]:
        left, top, right, bottom = self._box
        across = 0.06 + 0.88 * _share(size, self._sizes[0], self._sizes[-1])
        up = _share(value, self._low, self._high)
        return left + across * (right - left), bottom - up * (bottom - top)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones, at least three where there are so many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.4, 1.6, 1.8, 2, 3, 4, 5, 6, 7, 8, 9)):
        values = [round(step * 10.0**power, 9) for power in powers for step in steps]
        shown = [value for value in values if low <= value <= high]
        if len(shown) > 2:
            break
    return shown


def _share(value: float, low: float, high: float) -> float:
    return math.log(value / low) / math.log(high / low)
