"""The row of one vertebra in a report: plain numbers, rounded, None where not measurable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vertseg.geometry.grid import Grid
from vertseg.labels import region_of
from vertseg.measure.place import place_row
from vertseg.measure.shape import genant_grade, tilt_deg
from vertseg.measure.vertebra import Measurement

if TYPE_CHECKING:
    from vertseg.stages.result import Vertebra

Row = dict[str, Any]


def vertebra_rows(
    grid: Grid,
    vertebrae: Sequence[Vertebra],
    measurements: Sequence[Measurement],
    segmented: bool = True,
) -> list[Row]:
    """Rows of all vertebrae of an image, from the head downwards.

    Args:
        grid: of the image.
        vertebrae: what was found.
        measurements: of the same, in the same order.
        segmented: whether there is a mask; what is measured in it is None otherwise.
    """
    rows = []
    for number, (vertebra, measured) in enumerate(zip(vertebrae, measurements, strict=True)):
        around = [measurements[n] for n in (number - 1, number + 1) if 0 <= n < len(measurements)]
        rows.append(
            {
                "label": vertebra.label,
                "name": vertebra.name,
                "region": region_of(vertebra.label),
                "centroid_lps_mm": [rounded(value, 2) for value in vertebra.point_lps_mm],
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


def _body_size(measured: Measurement) -> Row:
    body = measured.body
    return {
        "body_width_mm": rounded(body.width_mm, 1) if body else None,
        "body_depth_mm": rounded(body.depth_mm, 1) if body else None,
    }


def _heights(measured: Measurement) -> Row:
    heights = measured.heights
    return {
        "anterior_height_mm": rounded(heights.anterior_mm, 1) if heights else None,
        "middle_height_mm": rounded(heights.middle_mm, 1) if heights else None,
        "posterior_height_mm": rounded(heights.posterior_mm, 1) if heights else None,
        "anterior_ratio": rounded(heights.anterior_ratio, 2) if heights else None,
        "middle_ratio": rounded(heights.middle_ratio, 2) if heights else None,
    }


def _tilts(measured: Measurement) -> Row:
    """How the end plates lean: to the back, seen from the side; to the left, from the front."""
    body = None if measured.cut_off else measured.body
    plates = {
        "upper": body.upper_normal_lps if body else None,
        "lower": body.lower_normal_lps if body else None,
    }
    return {
        f"{plate}_plate_{view}_deg": None if normal is None else rounded(tilt_deg(normal, axis), 1)
        for plate, normal in plates.items()
        for view, axis in (("sagittal", 1), ("coronal", 0))
    }
