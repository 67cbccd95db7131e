"""Scores of single vertebrae, and their averages by region, over vertebrae and over scans."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from vertseg.evaluate.cases import Annotation
from vertseg.evaluate.metrics import compare_masks, identify
from vertseg.labels import name_of, region_of

REGIONS = ("cervical", "thoracic", "lumbar", "all")

NAN = float("nan")


@dataclass(frozen=True)
class VertebraScore:
    """How one vertebra of one scan was found; NaN where a value is not defined.

    Attributes:
        case: name of the scan.
        label: its id.
        annotated: whether the reference has its centroid.
        predicted: whether the prediction has its centroid.
        identified: whether it counts as identified.
        distance_mm: between both centroids.
        dice: of the masks, for vertebrae of the reference's mask.
        hausdorff_mm: of the masks, undefined where it is not predicted.
        hausdorff95_mm: the same, 95th percentile.
        volume_error: of the masks, as a share; -1 where it is not predicted.
    """

    case: str
    label: int
    annotated: bool = False
    predicted: bool = False
    identified: bool = False
    distance_mm: float = NAN
    dice: float = NAN
    hausdorff_mm: float = NAN
    hausdorff95_mm: float = NAN
    volume_error: float = NAN

    @property
    def name(self) -> str:
        """Short name, such as ``"T12"``."""
        return name_of(self.label)

    @property
    def region(self) -> str:
        """Cervical, thoracic or lumbar."""
        return region_of(self.label)


@dataclass(frozen=True)
class Measure:
    """One column of the tables.

    Attributes:
        name: heading.
        unit: printed behind the heading.
        value: its value for a vertebra; NaN where it does not count.
    """

    name: str
    unit: str
    value: Callable[[VertebraScore], float]


MEASURES = (
    Measure("identification", "%", lambda s: 100.0 * s.identified if s.annotated else NAN),
    Measure("precision", "%", lambda s: 100.0 * s.identified if s.predicted else NAN),
    Measure("distance", "mm", lambda s: s.distance_mm),
    Measure("dice", "", lambda s: s.dice),
    Measure("hausdorff", "mm", lambda s: s.hausdorff_mm),
    Measure("hausdorff95", "mm", lambda s: s.hausdorff95_mm),
    Measure("volume error", "%", lambda s: 100.0 * s.volume_error),
)


@dataclass(frozen=True)
class Average:
    """A measure in one region.

    Attributes:
        region: one of `REGIONS`.
        measure: name of the measure.
        count: vertebrae for which it is defined.
        undefined: vertebrae of the reference for which it should be and is not (missing ones).
        mean: over vertebrae; NaN if there is none. So are the following.
        sd: standard deviation over vertebrae.
        scans: scans for which it is defined.
        scan_mean: mean of the scans' means.
        scan_sd: standard deviation of the scans' means.
    """

    region: str
    measure: str
    count: int
    undefined: int
    mean: float
    sd: float
    scans: int
    scan_mean: float
    scan_sd: float


def without_mask(score: VertebraScore) -> VertebraScore:
    """A score of the centroid alone, for results that have no masks."""
    return replace(score, dice=NAN, hausdorff_mm=NAN, hausdorff95_mm=NAN, volume_error=NAN)


def score_case(name: str, reference: Annotation, prediction: Annotation) -> list[VertebraScore]:
    """Scores of every vertebra that is annotated or predicted, in the order of labels.

    Args:
        name: of the scan.
        reference: centroids, mask, or both.
        prediction: the same; a side without centroids gives no identification.

    Raises:
        ValueError: the masks do not lie on one grid.
    """
    points, found = reference.points_lps_mm, prediction.points_lps_mm
    result = identify(points or {}, (found or {}) if points is not None else {})
    overlaps = {}
    if reference.mask is not None and reference.grid is not None:
        predicted = prediction.mask
        if predicted is None:
            predicted = np.zeros_like(reference.mask)
        elif prediction.grid is None or not reference.grid.is_close(prediction.grid, 0.1):
            raise ValueError(f"{name}: the masks do not lie on one grid")
        linear = reference.grid.affine_lps[:3, :3]
        overlaps = compare_masks(reference.mask, predicted, linear)
    labels = {*result.distance_mm, *result.missing, *result.extra, *overlaps}
    rows = []
    for label in sorted(labels):
        row = VertebraScore(
            case=name,
            label=label,
            annotated=label in (points or {}),
            predicted=label in result.distance_mm or label in result.extra,
            identified=label in result.identified,
            distance_mm=result.distance_mm.get(label, NAN),
        )
        if label in overlaps:
            row = replace(row, **asdict(overlaps[label]))
        rows.append(row)
    return rows


def average(scores: Sequence[VertebraScore]) -> list[Average]:
    """All measures in all regions that have a vertebra."""
    averages = []
    for region in REGIONS:
        chosen = [score for score in scores if region in ("all", score.region)]
        if chosen:
            averages += [_average(chosen, region, measure) for measure in MEASURES]
    return averages


def _average(scores: Sequence[VertebraScore], region: str, measure: Measure) -> Average:
    values = np.array([measure.value(score) for score in scores])
    defined = ~np.isnan(values)
    due = sum(_is_due(score, measure.name) for score in scores)
    by_scan: dict[str, list[float]] = {}
    for score, value in zip(scores, values, strict=True):
        if not math.isnan(value):
            by_scan.setdefault(score.case, []).append(float(value))
    mean, sd = _mean_and_sd(values[defined])
    scan_mean, scan_sd = _mean_and_sd([sum(scan) / len(scan) for scan in by_scan.values()])
    count = int(defined.sum())
    return Average(
        region, measure.name, count, due - count, mean, sd, len(by_scan), scan_mean, scan_sd
    )


def _is_due(score: VertebraScore, measure: str) -> bool:
    """Whether a perfect prediction would give this vertebra a value."""
    if measure == "precision":
        return score.predicted
    if measure in ("identification", "distance"):
        return score.annotated
    return not math.isnan(score.dice)


def _mean_and_sd(values: Iterable[float]) -> tuple[float, float]:
    """Mean and population standard deviation, NaN for no value."""
    array = np.array(list(values), float)
    return (float(array.mean()), float(array.std())) if len(array) else (NAN, NAN)
