"""Masks of single vertebrae, scored together with what makes them hard: thick slices and metal."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from vertseg.errors import NoInputError
from vertseg.evaluate.cases import Annotation, read_pair
from vertseg.evaluate.scores import VertebraScore, score_case
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import LabelArray
from vertseg.io.annotations import CaseFiles, find_case_files, read_mask
from vertseg.io.image import Image
from vertseg.io.read import read_image
from vertseg.stages.at_once import ONE_BY_ONE, AtOnce
from vertseg.stages.network import StageNetwork
from vertseg.stages.segmentation import segment_vertebrae
from vertseg.training.data.real_files import (
    isotropic,
    label_volume,
    touches_border,
    whole_vertebrae,
)

METAL_HU = 1700.0
"""Metal in a vertebra is as bright; its bone hardly ever is."""


@dataclass(frozen=True)
class MaskScore:
    """How good the mask of one vertebra is.

    Attributes:
        vertebra: the measures of the challenge.
        slice_mm: the scan's largest spacing.
        metal_mm3: metal within the true vertebra.
        missed_mm3: the part of it that the mask leaves out.
        hole_mm3: the part of that around which the mask closes in a slice: a hole. The rest lies at
            the surface, as where the head of a screw is sunk into bone.
    """

    vertebra: VertebraScore
    slice_mm: float
    metal_mm3: float = 0.0
    missed_mm3: float = 0.0
    hole_mm3: float = 0.0


def mask_scores(
    scan: Image, truth: LabelArray, predicted: LabelArray | None, scores: Sequence[VertebraScore]
) -> list[MaskScore]:
    """What is scored of a scan's masks, with its slices and its metal.

    Args:
        scan: the scan.
        truth: (i, j, k) labels on its grid; bone that metal has replaced counts as vertebra.
        predicted: the same as found; None where there is no mask.
        scores: of this scan; those without a mask in the truth are left out.
    """
    inside = np.where(scan.array >= METAL_HU, truth, 0)
    missed = inside if predicted is None else np.where(inside != predicted, inside, 0)
    holes = np.zeros_like(missed) if predicted is None else _in_holes(missed, predicted)
    metal, lost, enclosed = (
        scan.grid.voxel_volume_mm3 * np.bincount(labels.ravel(), minlength=256)
        for labels in (inside, missed, holes)
    )
    return [
        MaskScore(
            score,
            max(scan.grid.spacing),
            float(metal[score.label]),
            float(lost[score.label]),
            float(enclosed[score.label]),
        )
        for score in scores
        if not np.isnan(score.dice)
    ]


def _in_holes(missed: LabelArray, predicted: LabelArray) -> LabelArray:
    """Those of the missed voxels (i, j, k) that the mask of their vertebra encloses in a slice."""
    holes = np.zeros_like(missed)
    for label in np.unique(missed[missed > 0]):
        mask = predicted == label
        for axis in range(3):
            for place in np.unique(np.nonzero(missed == label)[axis]):
                here = (slice(None),) * axis + (place,)
                filled = ndimage.binary_fill_holes(mask[here]) & (missed[here] == label)
                holes[here][filled] = label
    return holes


def read_mask_scores(
    reference: Path, prediction: Path, scores: Sequence[VertebraScore]
) -> list[MaskScore]:
    """`mask_scores` of all scans with masks whose results lie in a folder.

    Args:
        reference: folder with scans and the truth.
        prediction: folder with results.
        scores: as `vertseg.evaluate.evaluate` gives them for both.

    Raises:
        InputError: a file cannot be read.
    """
    found = find_case_files(prediction)
    rows = []
    for name, files in sorted(find_case_files(reference).items()):
        own = [score for score in scores if score.case == name]
        if files.scan is None or files.mask is None or not own:
            continue
        result = found.get(name, CaseFiles(name)).mask
        predicted = None if result is None else read_mask(result)[0]
        rows += mask_scores(read_image(files.scan), read_mask(files.mask)[0], predicted, own)
    return rows


def score_from_truth(
    folders: Sequence[Path],
    network: StageNetwork,
    at_once: AtOnce = ONE_BY_ONE,
    only: Collection[str] | None = None,
) -> list[MaskScore]:
    """Masks of all scans with masks, segmented from true centroids in memory; nothing is written.

    Args:
        folders: with scans and the truth, found as by `vertseg.evaluate`.
        network: the segmentation stage.
        at_once: crops in a batch, and threads that take batches.
        only: patterns of names, without ``sub-``, such as ``factory00*``; None for all.

    Raises:
        NoInputError: there is no such scan.
        InputError: a file cannot be read.
    """
    cases = [case for folder in folders for case in _cases_with_masks(folder, only)]
    if not cases:
        where = ", ".join(map(str, folders))
        remedy = "Give folders with scans and masks beside them, and names without sub-."
        raise NoInputError("holds no scan with a mask that is asked for", where, remedy=remedy)
    rows = []
    for files in tqdm(cases, unit="scan", disable=None):
        rows += _segmented(files, network, at_once)
    return rows


def _cases_with_masks(folder: Path, only: Collection[str] | None) -> Iterator[CaseFiles]:
    for name, files in sorted(find_case_files(folder).items()):
        short = name.removeprefix("sub-")
        wanted = only is None or any(fnmatchcase(short, pattern) for pattern in only)
        if wanted and files.scan is not None and files.mask is not None:
            yield files


def _segmented(files: CaseFiles, network: StageNetwork, at_once: AtOnce) -> list[MaskScore]:
    assert files.scan is not None
    image, (annotation, _) = read_image(files.scan), read_pair(files, files)
    points = annotation.points_lps_mm or bodies_of_mask(annotation)
    assert annotation.mask is not None
    truth = np.where(np.isin(annotation.mask, [*points]), annotation.mask, 0).astype(np.uint8)
    given = [Centroid.at(label, point) for label, point in points.items()]
    predicted = segment_vertebrae(image, given, network, at_once)
    scores = score_case(
        files.name,
        Annotation(points, truth, annotation.grid),
        Annotation(points, predicted, image.grid),
    )
    return mask_scores(image, truth, predicted, scores)


def bodies_of_mask(annotation: Annotation) -> dict[int, np.ndarray]:
    """Centre (3,), in LPS mm, of the body of each whole vertebra."""
    mask, grid = annotation.mask, annotation.grid
    if mask is None or grid is None:
        return {}
    whole = mask * np.isin(mask, [*_whole_labels(mask)])
    centres = whole_vertebrae(label_volume(whole, grid, grid, _CUBIC_MM))
    cubic = isotropic(grid, _CUBIC_MM)
    return {label: np.array(cubic.index_to_lps(centre)) for label, centre in centres.items()}


_CUBIC_MM = 1.0


def _whole_labels(mask: LabelArray) -> Iterator[int]:
    """Labels that no border of the mask (i, j, k) cuts."""
    for label, box in enumerate(ndimage.find_objects(mask), start=1):
        if box is not None and not touches_border(box, mask.shape):
            yield label
