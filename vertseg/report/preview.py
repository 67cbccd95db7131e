"""The preview of a case: one picture that shows at a glance whether the result can be right."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw

from vertseg.io.image import Image
from vertseg.labels import Colour, colour_of
from vertseg.measure import analyse
from vertseg.report.build import findings
from vertseg.report.drawing import font, lightened, outlined, overlay
from vertseg.report.preview_text import (
    DIM,
    TEXT,
    draw_footer,
    draw_header,
    draw_sentences,
    height_of_sentences,
)
from vertseg.report.reformat import Course, Frame, Plane, View, reformat
from vertseg.report.schema import Report
from vertseg.system.atomic import atomic_writer
from vertseg.version import VERSION

if TYPE_CHECKING:
    from vertseg.stages.result import Result

WIDTH = 1200
"""Width of a preview in pixels; its text is legible when it is shown 1000 pixels wide."""
HEADER = 78
"""Rows of text above the pictures."""

_GROUND: Colour = (18, 20, 24)
_OUTSIDE: Colour = (32, 35, 42)
_MARGIN, _FOOTER, _GAP, _NAMES = 18, 44, 10, 64
_ROOM_FOR_WORDS = 60  # rows of a picture that hold its letters and the scale bar
_BESIDE, _BELOW = 290, 190  # most room for sentences beside or below the pictures
_TALLEST, _LOWEST = 860, 260
_FINEST_PIXELS_PER_MM = 3.2
_PANELS: tuple[tuple[Plane, bool], ...] = (
    ("sagittal", False),
    ("sagittal", True),
    ("coronal", True),
)
_SIDES: dict[Plane, tuple[str, str]] = {"sagittal": ("A", "P"), "coronal": ("R", "L")}
_BARS_MM = (100, 50, 20, 10, 5)


@dataclass(frozen=True)
class _Layout:
    """Where things go, in pixels."""

    scale: float  # pixels per mm
    beside: bool  # sentences beside the pictures, or below
    below: int  # room for sentences below
    frames: dict[Plane, Frame]

    @property
    def rows(self) -> int:
        """Height of the pictures."""
        return max(1, round(self.frames["sagittal"].height_mm * self.scale))

    @property
    def bottom(self) -> int:
        """Lower edge of pictures and sentences."""
        height = max(self.rows, _LOWEST) if self.beside else self.rows + self.below
        return HEADER + height

    @property
    def width(self) -> int:
        """From the first picture to the last."""
        return sum(self.columns(plane) for plane, _ in _PANELS) + _NAMES + _GAP

    def columns(self, plane: Plane) -> int:
        """Width of a picture."""
        return max(1, round(self.frames[plane].width_mm * self.scale))


def load_libraries() -> None:
    """Import what the first picture would import, which takes a quarter of a second."""
    import scipy.interpolate  # noqa: F401

    Pillow.preinit()


def render_preview(image: Image, labels: npt.NDArray[np.uint8], report: Report) -> Pillow.Image:
    """Draw the preview.

    From left to right: the scan from the side along the spine, the same with the masks, names, and
    the view from the front with the masks; beside or below, in words, what to check.

    Args:
        image: the scan.
        labels: (i, j, k), its mask, on the same grid.
        report: of the case; names, places and sentences are taken from it.

    Returns:
        RGB picture, `WIDTH` pixels wide.
    """
    found = [row["centroid_lps_mm"] for row in report["vertebrae"]]
    course = Course(found or report["spine"]["course_lps_mm"], image.grid)
    layout = _lay_out({plane: course.frame(plane) for plane in _SIDES}, report)

    def view(plane: Plane) -> View:
        return reformat(image, labels, course, plane, 1.0 / layout.scale)

    with ThreadPoolExecutor(len(_SIDES), "preview") as pool:
        views = dict(zip(_SIDES, pool.map(view, _SIDES), strict=True))
    canvas = Pillow.new("RGB", (WIDTH, layout.bottom + _FOOTER), _GROUND)
    draw = ImageDraw.Draw(canvas)
    left = _MARGIN if layout.beside else (WIDTH - layout.width) // 2
    for plane, masked in _PANELS:
        if plane == "coronal":
            _draw_names(draw, report, layout, left)
            left += _NAMES
        canvas.paste(_picture(views[plane], masked), (left, HEADER))
        _annotate(draw, report if masked else None, layout, plane, left)
        left += layout.columns(plane) + (0 if (plane, masked) == ("sagittal", True) else _GAP)
    right = WIDTH - _MARGIN
    words = (left + _GAP, HEADER, right, layout.bottom)
    below = (_MARGIN, HEADER + layout.rows + 14, right, layout.bottom)
    draw_header(draw, report, (_MARGIN, 14, right, HEADER))
    draw_sentences(draw, report, words if layout.beside else below)
    draw_footer(draw, report, (_MARGIN, layout.bottom, right, layout.bottom + _FOOTER - 12))
    return canvas


def write_preview(
    path: str | os.PathLike[str], image: Image, labels: npt.NDArray[np.uint8], report: Report
) -> None:
    """Draw the preview of a mask (i, j, k) and write it as PNG; raises OutputError."""
    packed = io.BytesIO()
    render_preview(image, labels, report).save(packed, "PNG", compress_level=3)
    with atomic_writer(path) as stream:
        stream.write(packed.getvalue())


def draw(result: Result, name: str = "") -> Pillow.Image:
    """The preview of a result in memory: ``draw(result).show()``, or ``.save("preview.png")``.

    Args:
        result: of a `Segmenter`.
        name: heading of the picture.

    Returns:
        RGB picture, see `render_preview`.
    """
    said = findings(result, analyse(result))
    # All that a picture shows of a report.
    report = cast(Report, {**said, "case": name, "software": {"vertseg": VERSION}})
    return render_preview(result.image, result.labels, report)


def _lay_out(frames: dict[Plane, Frame], report: Report) -> _Layout:
    """The larger of the two ways: sentences beside the pictures, or below them."""
    height_mm = max(frame.height_mm for frame in frames.values())
    width_mm = sum(frames[plane].width_mm for plane, _ in _PANELS)
    room = WIDTH - 2 * _MARGIN - _NAMES - _GAP
    words = min(height_of_sentences(report, WIDTH - 2 * _MARGIN) + 20, _BELOW)
    beside = min((room - _BESIDE) / width_mm, _TALLEST / height_mm)
    below = min(room / width_mm, (_TALLEST - words) / height_mm)
    scale = min(max(beside, below), _FINEST_PIXELS_PER_MM)
    return _Layout(scale, beside >= below, words, frames)


def _picture(view: View, masked: bool) -> Pillow.Image:
    rgb = np.repeat(view.grey[..., None], 3, axis=2)
    if masked:
        rgb = overlay(rgb, view.labels)
    rgb[~view.inside] = _OUTSIDE
    return Pillow.fromarray(rgb)


def _annotate(
    draw: ImageDraw.ImageDraw, report: Report | None, layout: _Layout, plane: Plane, left: int
) -> None:
    """Sides of the body and, with a report, what was found; else the scale bar."""
    if layout.rows < _ROOM_FOR_WORDS:  # a few slices: words would lie upon those around
        return
    right, bottom = left + layout.columns(plane), HEADER + layout.rows
    first, second = _SIDES[plane]
    outlined(draw, (left + 8, HEADER + 6), first, font(18, bold=True), TEXT, "la")
    outlined(draw, (right - 8, HEADER + 6), second, font(18, bold=True), TEXT, "ra")
    if report is None:
        _scale_bar(draw, layout, left + 12, bottom - 14)
        return
    frame = layout.frames[plane]
    for (x, y, z), colour in marks(report):
        column = left + ((x if plane == "coronal" else y) - frame.left_mm) * layout.scale
        line = HEADER + (frame.top_mm - z) * layout.scale
        box = (column - 3, line - 3, column + 3, line + 3)
        draw.ellipse(box, colour, (0, 0, 0))


def marks(report: Report) -> list[tuple[list[float], Colour]]:
    """Points LPS mm and their colours: centroids, or the course of a spine that has no names."""
    rows = report["vertebrae"]
    course = report["spine"]["course_lps_mm"] if report["status"] == "ok" else []
    named = [(row["centroid_lps_mm"], colour_of(row["label"])) for row in rows]
    return named or [(point, TEXT) for point in course]


def _scale_bar(draw: ImageDraw.ImageDraw, layout: _Layout, left: int, bottom: int) -> None:
    room = 0.6 * layout.columns("sagittal")
    length = next((mm for mm in _BARS_MM if mm * layout.scale <= room), _BARS_MM[-1])
    right = left + round(length * layout.scale)
    draw.rectangle((left - 1, bottom - 5, right + 1, bottom + 1), (0, 0, 0))
    draw.rectangle((left, bottom - 4, right, bottom), TEXT)
    outlined(draw, (left, bottom - 9), f"{length} mm", font(15), TEXT, "lb")


def _draw_names(draw: ImageDraw.ImageDraw, report: Report, layout: _Layout, left: int) -> None:
    """Names between the two pictures with masks, at the height of the vertebrae."""
    rows = report["vertebrae"]
    frame, face = layout.frames["sagittal"], font(17, bold=True)
    lines = [HEADER + (frame.top_mm - row["centroid_lps_mm"][2]) * layout.scale for row in rows]
    middle = left + _NAMES / 2
    for row, line, place in zip(rows, lines, spread(lines, 19.0), strict=True):
        draw.text((middle, place), row["name"], lightened(colour_of(row["label"])), face, "mm")
        for edge, inner in ((left, middle - 23), (left + _NAMES - 1, middle + 23)):
            draw.line((edge, line, inner, place), DIM, 1)


def spread(places: list[float], apart: float) -> list[float]:
    """Ascending places moved as little as need be to lie at least `apart` from each other."""
    groups = [([place], place) for place in places]  # members, and where their middle comes to lie
    merged: list[tuple[list[float], float]] = []
    for group in groups:
        merged.append(group)
        while len(merged) > 1 and _overlap(merged[-2], merged[-1], apart):
            members = merged[-2][0] + merged[-1][0]
            merged[-2:] = [(members, sum(members) / len(members))]
    return [
        middle + (number - (len(members) - 1) / 2) * apart
        for members, middle in merged
        for number in range(len(members))
    ]


def _overlap(
    upper: tuple[list[float], float], lower: tuple[list[float], float], apart: float
) -> bool:
    return lower[1] - upper[1] < apart * (len(upper[0]) + len(lower[0])) / 2
