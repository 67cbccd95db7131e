"""A case on the source grid of a stage, cut to what training can ever show of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vertseg.training.boxes import ALONG_MM
from vertseg.training.dataset import CaseData
from vertseg.training.real_files import (
    label_volume,
    landmarks_in,
    scan_volume,
    whole_vertebrae,
)
from vertseg.training.real_pool import PoolCase
from vertseg.training.recipe import Recipe

_SPARE_VOXELS = 2

Box = tuple[slice, slice, slice]


def stage_case(data: CaseData, recipe: Recipe, patient: str, fold: int) -> PoolCase | None:
    """The case for one stage; None where that stage cannot learn from it.

    The spine stage learns from scans with points, the vertebrae stage from them and from masks,
    the segmentation stage from masks, with their scans where there are any.
    """
    stage, spacing = recipe.stage, recipe.source_spacing_mm
    annotated = data.points_lps_mm is not None
    labels = hu = None
    points: dict[int, np.ndarray] = {}
    whole: frozenset[int] = frozenset()
    if stage != "spine" and data.mask is not None and data.mask_grid is not None:
        labels = label_volume(data.mask, data.mask_grid, data.grid, spacing)
        points = whole_vertebrae(labels)
        whole = frozenset(points)
    wanted = annotated if stage != "segmentation" else labels is not None
    if data.image is not None and wanted:
        hu = scan_volume(data.image, spacing)
    if data.points_lps_mm is not None:
        points = landmarks_in(data.points_lps_mm, data.grid, spacing)
        whole &= frozenset(points)
    volume = hu if hu is not None else labels
    if volume is None or not points:
        return None
    box = _seen(points, volume.shape, recipe)
    start = np.array([part.start for part in box])
    return PoolCase(
        name=data.name,
        patient=patient,
        fold=fold,
        stage=stage,
        spacing_mm=spacing,
        points={label: point - start for label, point in points.items()},
        annotated=annotated,
        whole=whole,
        hu=None if hu is None else hu[box],
        labels=None if labels is None else labels[box],
    )


def _seen(points: Mapping[int, np.ndarray], shape: tuple[int, ...], recipe: Recipe) -> Box:
    """The voxels that some window of the recipe can show."""
    jitter_mm = np.array([recipe.translation_mm, recipe.translation_mm, ALONG_MM])
    if recipe.stage == "segmentation":
        jitter_mm = np.abs([recipe.config.shift_at(label) for label in points]).max(0)
    reach = 0.5 * np.array(recipe.source_size) + jitter_mm / recipe.source_spacing_mm
    places = np.array([*points.values()])
    low = np.floor(places.min(0) - reach).astype(int) - _SPARE_VOXELS
    high = np.ceil(places.max(0) + reach).astype(int) + _SPARE_VOXELS
    x, y, z = (
        slice(max(int(a), 0), max(min(int(b) + 1, n), 1))
        for a, b, n in zip(low, high, shape, strict=True)
    )
    return x, y, z
