"""Real data as training sources: scans with points, and vertebra masks without their scan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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
    """Scans that have points, at `spacing_mm`, as far as their points tell what is in view.

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
        for scan in map(within_points, scans)
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
    """Vertebra masks at `spacing_mm`; landmarks of whole vertebrae.

    Args:
        data: a prepared pool, or a folder with ``masks/`` in BIDS layout, and surfaces in
            ``atlas/`` (see `surfaces.py`).
        spacing_mm: of the stage's source grid.
        hold_out: names of masks that are left out.
        fold: a fold of the pool that is left out; None for none.

    Of a pool, masks with L6 or T13, with a gap, or without a whole vertebra are left out, too: the
    atlas, into whose body they are set, has 24 vertebrae.
    """
    if not is_real_pool(data):
        from vertseg.training.data.real_files import read_masks  # late: a pool needs numpy only
        from vertseg.training.data.surfaces import read_surfaces

        return [
            *read_masks(data, spacing_mm, hold_out),
            *read_surfaces(data / "atlas", spacing_mm, hold_out),
        ]
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
    """A window of a scan around a point of its spine; `outside` beyond it.

    Each level in view of any of the scans is as likely as the others, so that eighty scans of
    necks do not crowd out ten of lumbar spines.
    """
    label = rng.choice(sorted({label for scan in scans for label in scan.landmarks}))
    showing = [scan for scan in scans if label in scan.landmarks]
    scan = showing[rng.integers(len(showing))]
    points = np.array([*scan.landmarks.values()])
    spacing = recipe.source_spacing_mm
    start = scan.landmarks[label]
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
    label = int(rng.choice(recipe.wanted(volume.landmarks)))
    shift = np.array(recipe.config.shift_at(label)) / recipe.source_spacing_mm
    centre = volume.landmarks[label] + shift
    outside = 0 if volume.labels is None else AIR_HU
    return _window_around(volume, recipe, centre, outside, wanted=label)


_MASKED_LEVELS = 2
"""Beyond each end of the points, whose vertebrae may or may not be in view."""

_SEEN_LEVELS = 2.2
"""Beyond each end of the points that stay in view: with the third level, its body would, too."""


def cut_neighbours(landmarks: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Where the course continues above and below, (3,) voxels, at two more levels each.

    Only whole vertebrae have points, so there may be a cut one; nothing lies above C1 and below
    L5 or L6.
    """
    found: dict[int, np.ndarray] = {}
    for beyond, end, offset in _ends(landmarks):
        for count, label in enumerate(beyond[:_MASKED_LEVELS], start=1):
            found[label] = end + count * offset
    return found


def within_points(scan: RealVolume) -> RealVolume:
    """The scan (z upwards) cut so far from its points that no vertebra without one is left.

    A vertebra in view that has no point would be taught as absent. Those of the two levels beyond
    each end are masked (`cut_neighbours`); where the column goes on, the scan ends there.
    """
    ends = [0, scan.volume.shape[2]]
    for beyond, end, offset in _ends(scan.landmarks):
        if len(beyond) > _MASKED_LEVELS:
            place = end[2] + _SEEN_LEVELS * offset[2]
            if offset[2] < 0:
                ends[0] = max(ends[0], int(np.floor(place)))
            else:
                ends[1] = min(ends[1], int(np.ceil(place)))
    low, high = ends
    if (low, high) == (0, scan.volume.shape[2]):
        return scan
    shift = np.array([0, 0, low])
    return replace(
        scan,
        volume=np.ascontiguousarray(scan.volume[:, :, low:high]),
        landmarks={label: point - shift for label, point in scan.landmarks.items()},
        labels=None if scan.labels is None else scan.labels[:, :, low:high],
    )


def _ends(
    landmarks: dict[int, np.ndarray],
) -> Iterator[tuple[Sequence[int], np.ndarray, np.ndarray]]:
    """Of both ends of the points: the labels C1 ... L5 beyond, the point, and the step to a level.

    The step goes on from the last one between two points; there is none for a single point.
    """
    labels = sorted(landmarks, key=ORDER_CRANIAL_TO_CAUDAL.index)
    if len(labels) < 2:
        return
    order = [label for label in ORDER_CRANIAL_TO_CAUDAL if label <= _L5 or label in labels]
    first, last = order.index(labels[0]), order.index(labels[-1])
    above, below = order[:first][::-1], [label for label in order[last + 1 :] if label <= _L5]
    for beyond, end, inner in ((above, labels[0], labels[1]), (below, labels[-1], labels[-2])):
        yield beyond, landmarks[end], landmarks[end] - landmarks[inner]


_L5 = 24


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
