"""Whether the mask of a vertebra that nobody has drawn can be right.

The rules are broad: they throw out what is grossly wrong and cannot tell good from fair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.io.image import Image
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of, name_of
from vertseg.measure.border import sides_touched
from vertseg.measure.vertebra import METAL_HU
from vertseg.stages.preprocess import resample_to
from vertseg.stages.reference_volumes import REFERENCE_VOLUME_ML
from vertseg.stages.segmentation import Response
from vertseg.training.data.checks import off_label_mm


@dataclass(frozen=True)
class Limits:
    """Limits that a mask must keep to.

    Attributes:
        volume: smallest and largest volume as a share of `vertseg.stages.reference_volumes`:
            masks of patients are up to 1.4 times as large, women's vertebrae 0.75 times, and a
            crushed one loses up to half of its body.
        mean_hu: of the whole mask: from osteoporotic marrow to young or sclerotic bone.
        metal: largest share of voxels above 2500 HU.
        main_part: smallest share of the voxels in one connected part.
        overlap: largest share that a neighbour's response claims, too.
        off_mm: largest distance from the given point to the mask; C1 is a ring round its point.
        off_c1_mm: the same for C1.
    """

    volume: tuple[float, float] = (0.45, 1.7)
    mean_hu: tuple[float, float] = (60.0, 700.0)
    metal: float = 0.05
    main_part: float = 0.97
    overlap: float = 0.1
    off_mm: float = 3.0
    off_c1_mm: float = 12.0


@dataclass(frozen=True)
class Verdict:
    """What the rules say of one vertebra.

    Attributes:
        label: its id.
        volume_ml: of its mask.
        mean_hu: of its mask; NaN without one.
        overlap: share that neighbours claim, too.
        reasons: why it is not kept; none if it is.
    """

    label: int
    volume_ml: float
    mean_hu: float
    overlap: float
    reasons: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether it passes."""
        return not self.reasons

    @property
    def name(self) -> str:
        """Short name, such as ``"T12"``."""
        return name_of(self.label)


def judge(
    image: Image,
    labels: npt.NDArray[np.uint8],
    label: int,
    point_lps_mm: np.ndarray,
    overlap: float,
    limits: Limits | None = None,
) -> Verdict:
    """Judge the mask of one vertebra.

    Args:
        image: the scan.
        labels: (i, j, k) label map on the scan's grid.
        label: of the vertebra.
        point_lps_mm: (3,) its given centroid.
        overlap: share of its response that neighbours claim (`overlaps`).
        limits: that it must keep to.
    """
    limits = limits or Limits()
    box = ndimage.find_objects(labels, label)[label - 1]
    if box is None:
        return Verdict(label, 0.0, float("nan"), overlap, ("no mask",))
    part = labels[box] == label
    values = image.array[box][part]
    volume = values.size * image.grid.voxel_volume_mm3 / 1000.0
    mean = float(values.mean())
    off = off_label_mm(labels, image.grid, label, point_lps_mm)
    reach = limits.off_c1_mm if label == label_of("C1") else limits.off_mm
    low, high = (share * REFERENCE_VOLUME_ML[label] for share in limits.volume)
    rules = (
        (low <= volume <= high, f"{volume:.0f} ml, not {low:.0f} to {high:.0f}"),
        (limits.mean_hu[0] <= mean <= limits.mean_hu[1], f"mean of {mean:.0f} HU"),
        (float(np.mean(values > METAL_HU)) <= limits.metal, "metal"),
        (_main_part(part) >= limits.main_part, "in pieces"),
        (overlap <= limits.overlap, f"{overlap:.0%} shared with a neighbour"),
        (off <= reach, "away from its point"),
        (not {"S", "I"} & set(sides_touched(box, image.grid)), "cut by the border"),
    )
    return Verdict(label, volume, mean, overlap, tuple(text for good, text in rules if not good))


def overlaps(responses: Sequence[Response], threshold: float) -> dict[int, float]:
    """Label -> share of its voxels above `threshold` that a neighbour's response claims, too.

    Args:
        responses: of `vertseg.stages.segmentation.vertebra_responses`.
        threshold: smallest response that claims a voxel.
    """
    order = sorted(responses, key=lambda item: ORDER_CRANIAL_TO_CAUDAL.index(item[0]))
    shares = {}
    for place, (label, response, grid) in enumerate(order):
        own = response > threshold
        shared = np.zeros_like(own)
        for _, other, other_grid in (*order[max(place - 1, 0) : place], *order[place + 1 :][:1]):
            shared |= own & (resample_to(other, other_grid, grid) > threshold)
        shares[label] = float(shared.sum() / own.sum()) if own.any() else 0.0
    return shares


def _main_part(mask: np.ndarray) -> float:
    """Share of the voxels in the largest part, joined through faces, edges or corners."""
    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
    return float(np.bincount(parts.ravel())[1:].max() / mask.sum()) if count else 0.0
