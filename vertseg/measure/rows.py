"""The row of one vertebra in a report: plain numbers, rounded, None where not measurable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict

from vertseg.geometry.grid import FloatArray, Grid
from vertseg.labels import region_of
from vertseg.measure.angles import tilt_deg
from vertseg.measure.genant import genant_grade
from vertseg.measure.place import PlaceRow, place_row
from vertseg.measure.vertebra import Measurement

if TYPE_CHECKING:
    from vertseg.stages.result import Vertebra

Number = float | None


class BodyRow(TypedDict):
    """Size of the body."""

    body_width_mm: Number
    body_depth_mm: Number


class HeightsRow(TypedDict):
    """Heights of the body and their ratios."""

    anterior_height_mm: Number
    middle_height_mm: Number
    posterior_height_mm: Number
    anterior_ratio: Number
    middle_ratio: Number


class TiltsRow(TypedDict):
    """How the end plates lean: to the back, seen from the side; to the left, from the front."""

    upper_plate_sagittal_deg: Number
    upper_plate_coronal_deg: Number
    lower_plate_sagittal_deg: Number
    lower_plate_coronal_deg: Number


class PartRow(TypedDict):
    """A part of a vertebra, or its cortical or trabecular bone."""

    volume_ml: Number
    mean_hu: float
    touches_border: str


class VertebraRow(PlaceRow, BodyRow, HeightsRow, TiltsRow):
    """One vertebra in a report; ``MEASUREMENTS.md`` defines the entries."""

    label: int
    name: str
    region: str
    centroid_lps_mm: list[float]
    peak: Number
    margin_nats: Number
    voxels: int | None
    volume_ml: Number
    trabecular_hu: Number
    trabecular_sd_hu: Number
    touches_border: str
    genant_grade_hint: int | None
    parts: NotRequired[dict[str, PartRow] | None]


def vertebra_rows(
    grid: Grid,
    vertebrae: Sequence[Vertebra],
    measurements: Sequence[Measurement],
    segmented: bool = True,
) -> list[VertebraRow]:
    """Rows of all vertebrae of an image, from the head downwards.

    Args:
        grid: of the image.
        vertebrae: what was found.
        measurements: of the same, in the same order.
        segmented: whether there is a mask; what is measured in it is None otherwise.
    """
    rows: list[VertebraRow] = []
    for number, (vertebra, measured) in enumerate(zip(vertebrae, measurements, strict=True)):
        around = [measurements[n] for n in (number - 1, number + 1) if 0 <= n < len(measurements)]
        rows.append(
            {
                "label": vertebra.label,
                "name": vertebra.name,
                "region": region_of(vertebra.label),
                "centroid_lps_mm": [round(value, 2) for value in vertebra.point_lps_mm],
                **place_row(vertebra.point_lps_mm, measured.box, grid),
                "peak": rounded(vertebra.score, 3),
                "margin_nats": rounded(vertebra.margin, 2),
                "voxels": vertebra.voxels if segmented else None,
                "volume_ml": rounded(measured.volume_ml, 2) if segmented else None,
                "trabecular_hu": rounded(measured.trabecular_hu, 1),
                "trabecular_sd_hu": rounded(measured.trabecular_sd_hu, 1),
                "touches_border": measured.touches_border,
                **_body_size(measured),
                **_heights(measured),
                "genant_grade_hint": genant_grade(measured, around),
                **_tilts(measured),
            }
        )
    return rows


def rounded(value: float | None, decimals: int) -> float | None:
    """Rounded for JSON, which knows neither NaN nor infinity."""
    return round(float(value), decimals) if value is not None and math.isfinite(value) else None


def _body_size(measured: Measurement) -> BodyRow:
    body = None if measured.cut_off else measured.body
    return {
        "body_width_mm": rounded(body.width_mm, 1) if body else None,
        "body_depth_mm": rounded(body.depth_mm, 1) if body else None,
    }


def _heights(measured: Measurement) -> HeightsRow:
    heights = measured.heights
    return {
        "anterior_height_mm": rounded(heights.anterior_mm, 1) if heights else None,
        "middle_height_mm": rounded(heights.middle_mm, 1) if heights else None,
        "posterior_height_mm": rounded(heights.posterior_mm, 1) if heights else None,
        "anterior_ratio": rounded(heights.anterior_ratio, 2) if heights else None,
        "middle_ratio": rounded(heights.middle_ratio, 2) if heights else None,
    }


def _tilts(measured: Measurement) -> TiltsRow:
    body = None if measured.cut_off else measured.body
    upper, lower = (body.upper_normal_lps, body.lower_normal_lps) if body else (None, None)
    return {
        "upper_plate_sagittal_deg": _tilt(upper, 1),
        "upper_plate_coronal_deg": _tilt(upper, 0),
        "lower_plate_sagittal_deg": _tilt(lower, 1),
        "lower_plate_coronal_deg": _tilt(lower, 0),
    }


def _tilt(normal: FloatArray | None, axis: int) -> Number:
    return None if normal is None else rounded(tilt_deg(normal, axis), 1)
