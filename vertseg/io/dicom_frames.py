"""Where the frames of an enhanced multi-frame image lie, and how its values become HU.

Enhanced CT keeps that in sequences, one item for all frames and one for each (PS3.3 C.7.6.16).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vertseg.io.dicom_slice import Triple
from vertseg.io.dicom_values import numbers, value_of

_FACTS = {
    "KVP": ("CTXRayDetailsSequence", "KVP"),
    "ConvolutionKernel": ("CTReconstructionSequence", "ConvolutionKernel"),
    "SliceThickness": ("PixelMeasuresSequence", "SliceThickness"),
    "XRayTubeCurrent": ("CTExposureSequence", "XRayTubeCurrentInmA"),
}


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        position: centre of its first pixel, LPS mm; None if it is not stored.
        orientation: directions along a row and along a column; None if they are not stored.
        spacing: mm between rows, between columns; None if it is not stored.
        scale: slope and intercept.
    """

    position: Triple | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    scale: tuple[float, float]


def frames_of(dataset: Any) -> Iterator[Frame]:
    """All frames in the order in which they are stored."""
    shared = _items(dataset, "SharedFunctionalGroupsSequence")
    each = _items(dataset, "PerFrameFunctionalGroupsSequence")
    counted = numbers(value_of(dataset, "NumberOfFrames"), 1)
    for number in range(int(counted[0]) if counted else len(each)):
        places = [*each[number : number + 1], *shared[:1]]
        yield _frame(places, dataset)


def frame_facts(dataset: Any) -> dict[str, Any]:
    """How the scan was made, as far as the sequences say, by the keywords of single slices."""
    shared = _items(dataset, "SharedFunctionalGroupsSequence")
    each = _items(dataset, "PerFrameFunctionalGroupsSequence")
    places = [*each[:1], *shared[:1]]
    found = {name: _look_up(places, *path) for name, path in _FACTS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _frame(places: list[Any], dataset: Any) -> Frame:
    def look_up(sequence: str, keyword: str, count: int) -> Any:
        found = numbers(_look_up(places, sequence, keyword), count)
        return found or numbers(value_of(dataset, keyword), count)

    slope = look_up("PixelValueTransformationSequence", "RescaleSlope", 1)
    intercept = look_up("PixelValueTransformationSequence", "RescaleIntercept", 1)
    return Frame(
        position=look_up("PlanePositionSequence", "ImagePositionPatient", 3),
        orientation=look_up("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        spacing=look_up("PixelMeasuresSequence", "PixelSpacing", 2),
        scale=((slope or (1.0,))[0] or 1.0, (intercept or (0.0,))[0]),
    )


def _look_up(places: list[Any], sequence: str, keyword: str) -> Any:
    for place in places:
        for item in _items(place, sequence)[:1]:
            value = value_of(item, keyword)
            if value is not None:
                return value
    return None


def _items(dataset: Any, keyword: str) -> list[Any]:
    return list(value_of(dataset, keyword) or ())
