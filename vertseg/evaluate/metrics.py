"""The measures of the VerSe challenge, free of any I/O.

Source: Sekuboyina et al., "VerSe: a vertebrae labelling and segmentation benchmark", MedIA 2021,
section 3.3. Precision is added: the identification rate never punishes an invented vertebra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from vertseg.geometry.grid import FloatArray

AnyMask = npt.NDArray[np.bool_ | np.uint8]
"""(i, j, k): labels, or 0 and 1 for one structure."""

IDENTIFICATION_LIMIT_MM = 20.0
"""A vertebra further off than this is not identified."""

Points = Mapping[int, npt.ArrayLike]


@dataclass(frozen=True)
class Identification:
    """How the predicted centroids of one scan compare with the annotated ones.

    Attributes:
        distance_mm: label -> distance of the predicted from the annotated centroid, for labels
            that are in both.
        identified: labels that are predicted less than 20 mm from the annotated centroid, with no
            other annotated centroid nearer to the prediction.
        missing: annotated labels that are not predicted.
        extra: predicted labels that are not annotated.
    """

    distance_mm: dict[int, float]
    identified: frozenset[int]
    missing: frozenset[int]
    extra: frozenset[int]

    @property
    def rate(self) -> float:
        """Identified share of the annotated vertebrae; NaN where none is annotated."""
        annotated = len(self.distance_mm) + len(self.missing)
        return len(self.identified) / annotated if annotated else float("nan")

    @property
    def precision(self) -> float:
        """Identified share of the predicted vertebrae; NaN where none is predicted."""
        predicted = len(self.distance_mm) + len(self.extra)
        return len(self.identified) / predicted if predicted else float("nan")


@dataclass(frozen=True)
class Overlap:
    """How the predicted mask of one vertebra compares with the annotated one.

    Attributes:
        dice: 0..1; 0 where it is not predicted.
        hausdorff_mm: largest distance from one surface to the other; NaN where not predicted.
        hausdorff95_mm: the larger of the two directed 95th percentiles; NaN where not predicted.
        volume_error: predicted minus annotated volume, as a share of the latter.
    """

    dice: float
    hausdorff_mm: float
    hausdorff95_mm: float
    volume_error: float


def identify(
    reference: Points, prediction: Points, limit_mm: float = IDENTIFICATION_LIMIT_MM
) -> Identification:
    """Compare centroids by label.

    Args:
        reference: label -> (3,) annotated point in mm.
        prediction: label -> (3,) predicted point in mm, same frame.
        limit_mm: largest distance of an identified vertebra, exclusive.
    """
    labels = sorted(reference)
    annotated = np.array([reference[label] for label in labels], float).reshape(-1, 3)
    distances: dict[int, float] = {}
    identified = set()
    for label, point in prediction.items():
        if label not in reference:
            continue
        to_all = np.linalg.norm(annotated - np.asarray(point, float), axis=1)
        own = float(to_all[labels.index(label)])
        distances[label] = own
        if own <= to_all.min() and own < limit_mm:
            identified.add(label)
    return Identification(
        distances,
        frozenset(identified),
        frozenset(reference.keys() - prediction.keys()),
        frozenset(prediction.keys() - reference.keys()),
    )


def compare_masks(
    reference: AnyMask, prediction: AnyMask, index_to_mm: FloatArray
) -> dict[int, Overlap]:
    """Compare label masks on one grid, for every label of the reference.

    Args:
        reference: (i, j, k) integers, 0 is background.
        prediction: the same.
        index_to_mm: (3, 3) linear part of the affine: its columns are the steps along i, j, k.

    Raises:
        ValueError: shapes differ, or the arrays do not hold integers.
    """
    _check_masks(reference, prediction)
    boxes = ndimage.find_objects(reference)
    predicted_boxes = ndimage.find_objects(prediction)
    overlaps = {}
    for number, box in enumerate(boxes):
        if box is None:
            continue
        label = number + 1
        other = predicted_boxes[number] if number < len(predicted_boxes) else None
        if other is None:
            overlaps[label] = Overlap(0.0, float("nan"), float("nan"), -1.0)
            continue
        both = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(box, other, strict=True)
        )
        overlaps[label] = _overlap(reference[both] == label, prediction[both] == label, index_to_mm)
    return overlaps


def dice(reference: AnyMask, prediction: AnyMask) -> float:
    """Dice coefficient of two boolean masks of one shape; NaN where both are empty."""
    total = int(reference.sum()) + int(prediction.sum())
    return 2.0 * int((reference & prediction).sum()) / total if total else float("nan")


def surface_distances(
    reference: AnyMask, prediction: AnyMask, index_to_mm: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Distances in mm from each surface voxel of one mask to the nearest one of the other.

    A surface voxel has a face in common with the background or with the outside of the array.
    Distances run between voxel centres, so that any grid, also a sheared one, is exact.

    Args:
        reference: boolean, not empty.
        prediction: boolean, same shape, not empty.
        index_to_mm: (3, 3), as in `compare_masks`.

    Returns:
        Distances from the reference's surface, and from the prediction's.

    Raises:
        ValueError: a mask is empty.
    """
    if not (reference.any() and prediction.any()):
        raise ValueError("surface distances need two masks that are not empty")
    first, second = (
        np.argwhere(mask & ~ndimage.binary_erosion(mask)) @ np.asarray(index_to_mm, float).T
        for mask in (reference, prediction)
    )
    return cKDTree(second).query(first)[0], cKDTree(first).query(second)[0]


def _overlap(reference: AnyMask, prediction: AnyMask, index_to_mm: FloatArray) -> Overlap:
    there, back = surface_distances(reference, prediction, index_to_mm)
    return Overlap(
        dice(reference, prediction),
        float(max(there.max(), back.max())),
        float(max(np.percentile(there, 95), np.percentile(back, 95))),
        float(prediction.sum() / reference.sum() - 1.0),
    )


def _check_masks(reference: AnyMask, prediction: AnyMask) -> None:
    if reference.shape != prediction.shape:
        raise ValueError(f"masks must have one shape, got {reference.shape} and {prediction.shape}")
    for name, mask in (("reference", reference), ("prediction", prediction)):
        if not np.issubdtype(mask.dtype, np.integer):
            raise ValueError(f"{name} must hold integers, got {mask.dtype}")
