"""One picture of a scan with a mask to check by eye, and of what was thrown out and why."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw

from vertseg.io.image import Image
from vertseg.labels import Colour, colour_of
from vertseg.report.drawing import font, lightened, outlined, overlay
from vertseg.report.reformat import Course, Plane, reformat
from vertseg.system.atomic import atomic_writer
from vertseg.training.pseudolabel.sanity import Verdict

_GROUND: Colour = (18, 20, 24)
_TEXT: Colour = (230, 232, 236)
_TALLEST, _FINEST_PIXELS_PER_MM = 900, 3.0
_MARGIN, _WORDS, _LINE = 12, 330, 22
_PANELS: tuple[tuple[Plane, bool], ...] = (
    ("sagittal", False),
    ("sagittal", True),
    ("coronal", True),
)
_AXIS = {"coronal": 0, "sagittal": 1}


def draw_check(
    title: str,
    image: Image,
    labels: npt.NDArray[np.uint8],
    points_lps_mm: dict[int, np.ndarray],
    verdicts: Sequence[Verdict],
) -> Pillow.Image:
    """From left to right: the spine from the side, the same with masks, from the front, in words.

    Args:
        title: name of the case.
        image: the scan.
        labels: its mask with what is kept and what is not.
        points_lps_mm: label -> (3,) given centroid; crosses where the vertebra is thrown out.
        verdicts: of all vertebrae, from the head downwards.
    """
    course = Course([list(point) for point in points_lps_mm.values()], image.grid)
    scale = min(_TALLEST / course.frame("sagittal").height_mm, _FINEST_PIXELS_PER_MM)
    panels = []
    for plane, masked in _PANELS:
        view = reformat(image, labels, course, plane, 1.0 / scale)
        grey = np.repeat(view.grey[..., None], 3, axis=2)
        panel = Pillow.fromarray(overlay(grey, view.labels) if masked else grey)
        if masked:
            _mark(panel, course, plane, scale, points_lps_mm, verdicts)
        panels.append(panel)
    height = max(*(panel.height for panel in panels), _LINE * (len(verdicts) + 2))
    width = sum(panel.width + _MARGIN for panel in panels) + _WORDS
    canvas = Pillow.new("RGB", (width + _MARGIN, height + 2 * _MARGIN), _GROUND)
    left = _MARGIN
    for panel in panels:
        canvas.paste(panel, (left, _MARGIN))
        left += panel.width + _MARGIN
    _write_words(ImageDraw.Draw(canvas), left, title, verdicts)
    return canvas


def write_check(path: Path, picture: Pillow.Image) -> None:
    """Write a picture as PNG; raises OutputError."""
    packed = io.BytesIO()
    picture.save(packed, "PNG", compress_level=4)
    with atomic_writer(path) as stream:
        stream.write(packed.getvalue())


def _mark(
    panel: Pillow.Image,
    course: Course,
    plane: Plane,
    scale: float,
    points: dict[int, np.ndarray],
    verdicts: Sequence[Verdict],
) -> None:
    """Names at the points of a panel; a cross where a vertebra is not kept."""
    frame, draw = course.frame(plane), ImageDraw.Draw(panel)
    for verdict in verdicts:
        point = points[verdict.label]
        x = (point[_AXIS[plane]] - frame.left_mm) * scale
        y = (frame.top_mm - point[2]) * scale
        text = verdict.name if verdict.kept else f"× {verdict.name}"
        outlined(draw, (x, y), text, font(15, bold=True), lightened(colour_of(verdict.label)), "mm")


def _write_words(
    draw: ImageDraw.ImageDraw, left: int, title: str, verdicts: Sequence[Verdict]
) -> None:
    draw.text((left, _MARGIN), title, _TEXT, font(17, bold=True), "la")
    for row, verdict in enumerate(verdicts, start=1):
        text = "; ".join(verdict.reasons) or f"{verdict.volume_ml:.0f} ml, {verdict.mean_hu:.0f} HU"
        mark = "" if verdict.kept else "× "
        colour = lightened(colour_of(verdict.label))
        place = (left, _MARGIN + 6 + row * _LINE)
        draw.text(place, f"{mark}{verdict.name}: {text}", colour, font(14), "la")
