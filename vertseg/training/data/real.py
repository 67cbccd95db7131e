"""Real data as training sources: scans with points, and vertebra masks without their scan."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from vertseg.io.hounsfield import AIR_HU
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.training.data.real_pool import PoolCase, is_real_pool, read_cases
from vertseg.training.recipe import Recipe, SourceVolume
from vertseg.training.volumes import RealVolume, along_spine, window

HELD_OUT = ("totalseg", "tptbox", "taichi", "thorax1mm")
"""Scans that validate the bundled weights and are never trained on."""

HELD_OUT_MASKS = ("totalseg", "tptbox")
"""Scans whose masks validate the bundled weights; others have no mask of their own."""

UNSURE_LEVELS = {"thorax4mm": range(18, 29), "cptac": range(1, 29)}
"""Labels whose numbering is doubtful in a scan: their places are learned, their names are not."""


def load_scans(
    data: Path,
    spacing_mm: float,
    hold_out: Collection[str] = HELD_OUT,
    fold: int | None = None,
    only_fold: bool = False,
) -> list[RealVolume]:
    """Scans that have points, at `spacing_mm`.

    Args:
        data: a prepared pool, or a folder with ``ct/`` in BIDS layout.
        spacing_mm: of the stage's source grid.
        hold_out: names of scans that are left out.
        fold: a fold of the pool that is left out; None for none.
        only_fold: take the cases of `fold`, and no others.
    """
    if is_real_pool(data):
        cases = read_cases(data, spacing_mm, hold_out, fold, only_fold)
        scans = [
            RealVolume(case.name, case.hu, case.points, labels=case.labels)
            for case in cases
            if case.hu is not None and case.annotated
        ]
    else:
        from vertseg.training.data.real_files import read_scans  # late: a pool needs numpy only

        scans = read_scans(data, spacing_mm, hold_out)
    return [
        replace(
            scan,
            unnamed=frozenset(UNSURE_LEVELS.get(scan.name, ())),
            doubtful=cut_neighbours(scan.landmarks),
        )
        for scan in scans
    ]


def load_labelled_scans(
    data: Path,
    spacing_mm: float,
    hold_out: Collection[str] = HELD_OUT_MASKS,
    fold: int | None = None,
    only_fold: bool = False,
) -> list[RealVolume]:
    """Scans of a prepared pool that have a mask, with the landmarks of their whole vertebrae.

    Args:
        data: a prepared pool; of any other folder there are none.
        spacing_mm: of the stage's source grid.
        hold_out: names of scans that are left out.
        fold: a fold of the pool that is left out; None for none.
        only_fold: take the cases of `fold`, and no others.
    """
    if not is_real_pool(data):
        return []
    return [
        RealVolume(case.name, case.hu, _whole(case), labels=case.labels)
        for case in read_cases(data, spacing_mm, hold_out, fold, only_fold)
        if case.hu is not None and case.labels is not None and case.whole
    ]


def load_masks(
    data: Path,
    spacing_mm: float,
    hold_out: Collection[str] = HELD_OUT,
    fold: int | None = None,
) -> list[RealVolume]:
    """Vertebra masks at `spacing_mm`, nearest label; landmarks of whole vertebrae.

    Args:
        data: a prepared pool, or a folder with ``masks/`` in BIDS layout.
        spacing_mm: of the stage's source grid.
        hold_out: names of masks that are left out.
        fold: a fold of the pool that is left out; None for none.

    Of a pool, masks with L6 or T13, with a gap, or without a whole vertebra are left out, too: the
    atlas, into whose body they are set, has 24 vertebrae.
    """
    if not is_real_pool(data):
        from vertseg.training.data.real_files import read_masks  # late: a pool needs numpy only

        return read_masks(data, spacing_mm, hold_out)
    return [
        RealVolume(case.name, case.labels, _whole(case))
        for case in read_cases(data, spacing_mm, hold_out, fold)
        if case.labels is not None and _is_plain_run(case.whole)
    ]


def _whole(case: PoolCase) -> dict[int, np.ndarray]:
    return {label: case.points[label] for label in sorted(case.whole)}


def _is_plain_run(labels: Collection[int]) -> bool:
    """Whether labels are some of C1 ... L5 without a gap."""
    return bool(labels) and max(labels) <= 24 and max(labels) - min(labels) + 1 == len(labels)


def draw_scan(
    recipe: Recipe, scans: list[RealVolume], rng: np.random.Generator, outside: int = AIR_HU
) -> SourceVolume:
    """A window of a random scan, around a random point of its spine; `outside` beyond it."""
    scan = scans[rng.integers(len(scans))]
    points = np.array([*scan.landmarks.values()])
    spacing = recipe.source_spacing_mm
    start = points[rng.integers(len(points))]
    centre = along_spine(points, start, recipe.source_size[2], spacing, rng)
    centre[:2] += rng.uniform(-1, 1, 2) * recipe.translation_mm / spacing
    return _window_around(scan, recipe, centre, outside)


def draw_vertebra(
    recipe: Recipe, volumes: list[RealVolume], rng: np.random.Generator
) -> SourceVolume:
    """The window that the segmentation stage sees of a random vertebra of a random volume.

    The volumes are label maps, or scans with a mask.
    """
    volume = volumes[rng.integers(len(volumes))]
    label = int(rng.choice(list(volume.landmarks)))
    shift = np.array(recipe.config.shift_at(label)) / recipe.source_spacing_mm
    centre = volume.landmarks[label] + shift
    outside = 0 if volume.labels is None else AIR_HU
    return _window_around(volume, recipe, centre, outside, wanted=label)


def cut_neighbours(landmarks: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Where the course continues above and below, (3,) voxels, at two more levels each.

    Only whole vertebrae have points, so there may be a cut one; nothing lies above C1 and below
    L5 or L6.
    """
    labels = sorted(landmarks, key=ORDER_CRANIAL_TO_CAUDAL.index)
    found: dict[int, np.ndarray] = {}
    if len(labels) < 2:
        return found
    for end, inner, step in ((labels[0], labels[1], -1), (labels[-1], labels[-2], 1)):
        offset = landmarks[end] - landmarks[inner]
        for count in (1, 2):
            label = end + step * count
            if 1 <= label <= 24 and end <= 24:
                found[label] = landmarks[end] + count * offset
    return found


def _window_around(
    scan: RealVolume, recipe: Recipe, centre: np.ndarray, outside: int, wanted: int = 0
) -> SourceVolume:
    """The part of `scan` under the recipe's source grid centred on `centre`."""
    size = np.array(recipe.source_size)
    start = np.rint(centre - 0.5 * (size - 1)).astype(int)
    part = window(scan.volume, start, recipe.source_size, outside)
    landmarks = {label: point - start for label, point in scan.landmarks.items()}
    doubtful = {label: point - start for label, point in scan.doubtful.items()}
    middle = np.asarray(centre) - start
    mask = None if scan.labels is None else window(scan.labels, start, recipe.source_size, 0)
    return SourceVolume(part, landmarks, middle, wanted, scan.unnamed, doubtful, mask)
