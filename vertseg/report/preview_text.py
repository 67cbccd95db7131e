"""The words of a preview: what was found, and what to check."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import ImageDraw

from vertseg.errors import printable
from vertseg.labels import Colour
from vertseg.report.drawing import font, shorten, wrap
from vertseg.report.schema import Report
from vertseg.report.words import count_flags, flagged_in_words, found_in_words
from vertseg.version import NOTICE

TEXT: Colour = (232, 234, 237)
DIM: Colour = (154, 160, 170)
_CHECK: Colour = (255, 190, 92)
_GOOD: Colour = (126, 206, 158)

_LINE = 21
_SIZE = 16
_INDENT = 16

PixelBox = tuple[int, int, int, int]


def draw_header(draw: ImageDraw.ImageDraw, report: Report, box: PixelBox) -> None:
    """Name of the case, and what was found, in the box left, top, right, bottom."""
    left, top, right, _ = box
    title, found = font(22, bold=True), found_in_words(report)
    colour = _CHECK if count_flags(report)[0] else _GOOD
    room = right - left - title.getlength(found) - 30
    name = printable(report["case"])
    draw.text((left, top), shorten(name, title, room), TEXT, title, "la")
    draw.text((right, top), found, colour, title, "ra")
    face, flagged = font(_SIZE), flagged_in_words(report)
    room = right - left - face.getlength(flagged) - 30
    draw.text((left, top + 33), shorten(scan_in_words(report), face, room), DIM, face)
    draw.text((right, top + 33), flagged, DIM, face, "ra")


def draw_footer(draw: ImageDraw.ImageDraw, report: Report, box: PixelBox) -> None:
    """The notice, and what made the picture, in the box left, top, right, bottom."""
    left, _, right, bottom = box
    precision = report.get("device", {}).get("precision")
    made = ", ".join(filter(None, (f"vertseg {report['software']['vertseg']}", precision)))
    draw.text((left, bottom), NOTICE, _CHECK, font(15), "lb")
    draw.text((right, bottom), made, DIM, font(15), "rb")


def draw_sentences(draw: ImageDraw.ImageDraw, report: Report, box: PixelBox) -> None:
    """Flags and warnings in the box left, top, right, bottom; as many as fit."""
    left, top, right, bottom = box
    lines = _lines(report, right - left)
    room = max(1, (bottom - top) // _LINE)
    if len(lines) > room:
        lines[room - 1 :] = [("… more in the report", None)]
    for row, (text, dot) in enumerate(lines):
        if dot is not None:
            draw.ellipse((left, top + row * _LINE + 7, left + 6, top + row * _LINE + 13), dot)
        draw.text((left + _INDENT, top + row * _LINE), text, TEXT, font(_SIZE))


def height_of_sentences(report: Report, width: int) -> int:
    """Pixels that all flags and warnings take at a width."""
    return _LINE * len(_lines(report, width))


def _lines(report: Report, width: int) -> list[tuple[str, Colour | None]]:
    """Lines with, in the first line of each sentence, the colour of the dot before it."""
    return [
        (text, colour if number == 0 else None)
        for sentence, colour in _sentences(report)
        for number, text in enumerate(wrap(sentence, font(_SIZE), width - _INDENT))
    ]


def scan_in_words(report: Report) -> str:
    """Size, spacing and orientation, such as ``"512×512×300 voxels of 0.80×0.80×1.00 mm, LPS"``."""
    geometry = report["geometry"]
    size = "×".join(str(n) for n in geometry["size"])
    spacing = "×".join(f"{value:.2f}" for value in geometry["spacing_mm"])
    given = ", centroids given" if report.get("given_centroids") else ""
    return f"{size} voxels of {spacing} mm, {''.join(geometry['axes_towards'])}{given}"


def _sentences(report: Report) -> Iterator[tuple[str, Colour]]:
    flags = report["flags"]
    yield from ((f["sentence"], _CHECK) for f in flags if f["severity"] == "check")
    yield from ((f["sentence"], DIM) for f in flags if f["severity"] != "check")
    yield from ((f"{text[:1].upper()}{text[1:]}.", DIM) for text in report["geometry"]["repairs"])
    if not flags:
        yield "Nothing was flagged. Look at the picture all the same.", _GOOD
