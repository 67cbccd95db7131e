"""Computing the table of neighbour offsets and numbering variants from real spine courses."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vertseg.labels import label_of, name_of
from vertseg.sequence.offsets import SKIPS, TABLE, VARIANTS, Pair
from vertseg.training.data.course_tables import Course

_T11, _T12, _T13, _L1, _L5, _L6 = map(label_of, ("T11", "T12", "T13", "L1", "L5", "L6"))

SOURCES = (
    "VerSe 2019 and 2020 (Sekuboyina et al., MedIA 2021; Loeffler et al., Radiol AI 2020; Liebl et "
    "al., Sci Data 2021): centroids of the training scans, from the landmark files of "
    "christianpayer/MedicalDataAugmentationTool-VerSe. CC BY-SA 4.0",
    "ImFusion VID: vertebral-body centres of CT Colonography (TCIA), VerSe and Pancreas-CT (TCIA). "
    "CC BY-SA 4.0",
)
PLAUSIBLE_MM = (10.0, 55.0)
"""Distances of neighbours outside this range are slips of the annotation."""

OUTLIER = 30.0
"""Squared Mahalanobis distance beyond which an offset is left out (6e-7 of a normal sample)."""

SCALE_PRIOR = 0.5
"""Weight of scale 1, in distances: (0.049 / 0.068)^2, the variance within over that between."""

BORROWED = 10
"""Rare pairs are drawn to a related pair as if it had been seen in so many scans."""
REGULAR: tuple[Pair, ...] = tuple((label, label + 1) for label in range(1, _L5))

# Rates in the general population: Tins 2016, doi 10.1007/s13244-016-0468-7 (one more 18, one fewer
# 14 of 418); six lumbar-type vertebrae 3-6 %, 11 rib pairs 3-8 %, 13 rib pairs 0.4 %.
LITERATURE_RATES = {"L6": 0.04, "T13": 0.004, "no T12": 0.03, "no C7": 0.001}


def compute_table(courses: Sequence[Course]) -> dict[str, Any]:
    """The table of `vertseg.sequence.offsets`, ready for JSON.

    Args:
        courses: each scan once.
    """
    distances = _mean_distances(courses)
    scales = np.array([scan_scale(course, distances) for course in courses])
    scaled = [
        {label: point / scale for label, point in course.points_lps_mm.items()}
        for course, scale in zip(courses, scales, strict=True)
    ]
    neighbours: dict[Pair, dict[str, Any]] = {pair: _entry(scaled, pair) for pair in REGULAR}
    for pair, relative in VARIANTS.items():
        neighbours[pair] = _blend(_entry(scaled, pair), neighbours[relative])
    skips = {}
    for pair, middle in SKIPS.items():
        both = _sum(neighbours[pair[0], middle], neighbours[middle, pair[1]])
        skips[pair] = _blend(_entry(scaled, pair, middle), both)
    unscaled = [course.points_lps_mm for course in courses]
    for pair, entry in neighbours.items():
        entry["distance_mm"] = _spread(np.linalg.norm(offsets(unscaled, pair), axis=1))
    several = np.array([len(course.points_lps_mm) >= 5 for course in courses])
    return {
        "title": "Offsets between neighbouring vertebral-body centres",
        "sources": SOURCES,
        "licence": "CC BY-SA 4.0",
        "made_by": "python -m vertseg.training.data.offset_table",
        "frame": "LPS mm, lower minus upper vertebra, divided by the scale of the scan",
        "scans": _count(course.source for course in courses),
        "scale": {
            "mean": round(float(scales[several].mean()), 4),
            "sd": round(float(scales[several].std()), 4),
        },
        "neighbours": {_name(pair): entry for pair, entry in sorted(neighbours.items())},
        "skips": {_name(pair): entry for pair, entry in sorted(skips.items())},
        "variants": count_variants(courses),
    }


def offsets(
    courses: Iterable[dict[int, np.ndarray]], pair: Pair, middle: int | None = None
) -> np.ndarray:
    """(n, 3) plausible offsets of a pair of labels; slips of the annotation are left out.

    Args:
        courses: points by label.
        pair: upper and lower label.
        middle: the one vertebra that lies between the two; None for direct neighbours.
    """
    upper, lower = pair
    between = [] if middle is None else [middle]
    found: np.ndarray = np.array(
        [
            points[lower] - points[upper]
            for points in courses
            if {*pair} <= points.keys() and _labels_between(points, pair) == between
        ]
    ).reshape(-1, 3)
    step = np.linalg.norm(found, axis=1) / (1 + len(between))
    found = found[(step > PLAUSIBLE_MM[0]) & (step < PLAUSIBLE_MM[1]) & (found[:, 2] < 0)]
    if len(found) > BORROWED:
        centred = found - np.median(found, axis=0)
        inverse = np.linalg.inv(np.cov(centred.T))
        found = found[np.einsum("ni,ij,nj->n", centred, inverse, centred) < OUTLIER]
    return found


def scan_scale(course: Course, mean_distances: dict[Pair, float]) -> float:
    """Size of a body relative to the mean, from the distances of its regular neighbours."""
    points = course.points_lps_mm
    ratios = [
        float(np.linalg.norm(points[lower] - points[upper])) / mean_distances[upper, lower]
        for upper, lower in REGULAR
        if upper in points and lower in points
    ]
    usable = [ratio for ratio in ratios if 0.5 < ratio < 1.6]
    return (SCALE_PRIOR + sum(usable)) / (SCALE_PRIOR + len(usable))


def count_variants(courses: Sequence[Course]) -> dict[str, dict[str, Any]]:
    """Numbering variants among the VerSe scans (elsewhere the numbering was not checked).

    VerSe was enriched with variants, so the prior is the geometric mean of the rate there and the
    rate in the literature. T13 is counted in the one table that can hold it.
    """
    verse = [course for course in courses if course.source == "verse"]
    junction = [
        course
        for course in verse
        if _L1 in course.points_lps_mm and {_T11, _T12, _T13} & course.points_lps_mm.keys()
    ]
    with_t13 = [course for course in junction if course.table == "landmarks_verse20"]
    counts = {
        "L6": (_having(verse, _L6), _having(verse, _L5)),
        "T13": (_having(with_t13, _T13), len(with_t13)),
        "no T12": (len(junction) - _having(junction, _T12), len(junction)),
        "no C7": (0, 0),
    }
    variants = {}
    for name, (found, of) in counts.items():
        literature = LITERATURE_RATES[name]
        rate = (found + 0.5) / (of + 1) if of else literature
        prior = float(np.sqrt(rate * literature))
        variants[name] = {
            "scans": found,
            "of": of,
            "literature": literature,
            "prior": round(prior, 4),
        }
    return variants


def _having(courses: Sequence[Course], label: int) -> int:
    """Number of courses with a label."""
    return sum(label in course.points_lps_mm for course in courses)


def _mean_distances(courses: Sequence[Course]) -> dict[Pair, float]:
    """Mean distance of every regular pair, in mm."""
    points = [course.points_lps_mm for course in courses]
    lengths = {pair: np.linalg.norm(offsets(points, pair), axis=1) for pair in REGULAR}
    return {pair: float(length.mean()) for pair, length in lengths.items()}


def _labels_between(points: dict[int, np.ndarray], pair: Pair) -> list[int]:
    """Labels of the vertebrae whose height lies between those of a pair."""
    top, bottom = points[pair[0]][2], points[pair[1]][2]
    return [label for label, point in points.items() if bottom < point[2] < top]


def _entry(
    courses: Sequence[dict[int, np.ndarray]], pair: Pair, middle: int | None = None
) -> dict[str, Any]:
    """Summary of the offsets of one pair."""
    found = offsets(courses, pair, middle)
    if len(found) < 3:
        return {"scans": len(found), "mean_mm": [0.0] * 3, "covariance_mm2": [[0.0] * 3] * 3}
    return _summary(len(found), found.mean(0), np.cov(found.T))


def _blend(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Draw a pair that was seen in few scans to a related one."""
    weight = own["scans"] / (own["scans"] + BORROWED) if own["scans"] >= 3 else 0.0
    mixed = {
        key: weight * np.array(own[key]) + (1 - weight) * np.array(other[key])
        for key in ("mean_mm", "covariance_mm2")
    }
    return _summary(own["scans"], mixed["mean_mm"], mixed["covariance_mm2"])


def _sum(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Offset over two pairs; their spreads are positively correlated, so half is added."""
    mean = np.add(first["mean_mm"], second["mean_mm"])
    return _summary(0, mean, 1.5 * np.add(first["covariance_mm2"], second["covariance_mm2"]))


def _summary(scans: int, mean: np.ndarray, covariance: np.ndarray) -> dict[str, Any]:
    return {
        "scans": scans,
        "mean_mm": np.round(mean, 2).tolist(),
        "covariance_mm2": np.round(covariance, 2).tolist(),
    }


def _spread(distances: np.ndarray) -> dict[str, float] | None:
    """Mean, standard deviation, smallest and largest of unscaled distances, in mm."""
    if len(distances) < 2:
        return None
    values = {"mean": distances.mean(), "sd": distances.std(ddof=1)}
    values |= {"min": distances.min(), "max": distances.max()}
    return {name: round(float(value), 2) for name, value in values.items()}


def _name(pair: Pair) -> str:
    return f"{name_of(pair[0])}-{name_of(pair[1])}"


def _count(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute the table and store it."""
    from vertseg.training.data.course_tables import read_courses

    parser = argparse.ArgumentParser(
        prog="python -m vertseg.training.data.offset_table", description=main.__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the CSV tables")
    parser.add_argument("--output", type=Path, default=TABLE, help="JSON file to write")
    options = parser.parse_args(arguments)
    table = compute_table(read_courses(options.data))
    text = json.dumps(table, indent=1)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(_compact(text) + "\n", encoding="utf-8")


def _compact(text: str) -> str:
    """JSON with every list of numbers and every plain mapping on one line."""
    inner = re.compile(r"\[[\d\s,.e\[\]-]*\]|\{[^{}\[\]]*\}")
    return inner.sub(lambda found: re.sub(r"\s+", " ", found[0]), text)


if __name__ == "__main__":
    main()
