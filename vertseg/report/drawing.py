"""Small helpers for drawing text and masks with Pillow."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ImageDraw, ImageFont

from vertseg.labels import Colour, colour_of

Font = ImageFont.FreeTypeFont
Rgb = npt.NDArray[np.uint8]

_FONTS = Path(__file__).resolve().parents[1] / "data" / "fonts"
_FILL_OPACITY, _EDGE_OPACITY = 0.36, 0.9


@lru_cache(maxsize=16)
def font(size: int, bold: bool = False) -> Font:
    """DejaVu Sans, which comes with this package, `size` pixels high."""
    return ImageFont.truetype(_FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)


def wrap(text: str, face: Font, width: float) -> list[str]:
    """Break a text into lines of at most `width` pixels, words too long for a line as well."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if not line or face.getlength(longer) <= width:
            line = longer
        else:
            lines.append(line)
            line = word
        while face.getlength(line) > width and len(line) > 1:
            fits = next(
                n
                for n in range(len(line) - 1, 0, -1)
                if n == 1 or face.getlength(line[:n]) <= width
            )
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line] if line else lines


def shorten(text: str, face: Font, width: float) -> str:
    """A text with its middle left out if it is wider than `width` pixels."""
    if face.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        cut = f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"
        if face.getlength(cut) <= width:
            return cut
    return "…"


def outlined(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    face: Font,
    fill: Colour,
    anchor: str,
) -> None:
    """Text that can be read on any ground."""
    draw.text(place, text, fill, face, anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def lightened(colour: Colour) -> Colour:
    """The colour as text on a dark ground: dark ones are mixed with white."""
    red, green, blue = colour
    brightness = (0.30 * red + 0.59 * green + 0.11 * blue) / 255.0
    share = max(0.0, 0.62 - brightness) / (1.0 - brightness)
    red, green, blue = (round(part + (255 - part) * share) for part in colour)
    return (red, green, blue)


def overlay(grey: Rgb, labels: npt.NDArray[np.uint8]) -> Rgb:
    """Coloured labels with firm edges on a picture (rows, columns, 3)."""
    palette = np.zeros((256, 3), np.float32)
    for label in np.unique(labels[labels > 0]):
        palette[label] = _colour(int(label))
    opacity = np.where(labels > 0, _FILL_OPACITY, 0.0)
    opacity[_edges(labels)] = _EDGE_OPACITY
    mixed = grey * (1.0 - opacity[..., None]) + palette[labels] * opacity[..., None]
    return mixed.astype(np.uint8)


def _colour(label: int) -> Colour:
    try:
        return colour_of(label)
    except KeyError:
        return (255, 255, 255)


def _edges(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Pixels of a label beside another label or none."""
    padded = np.pad(labels, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    beside = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return (labels > 0) & np.any([middle != other for other in beside], axis=0)
