"""Real spine courses: rows of vertebral-body centres, completed to a whole spine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vertseg.training.data.course_tables import Course as TableCourse
from vertseg.training.data.course_tables import read_tables
from vertseg.training.factory.atlas import LEVEL_NAMES

LEVELS = len(LEVEL_NAMES)

_DRIFT_SD_LEVELS = 0.8

_MOST_TURN_DEG = 40.0
"""The direction from centre to centre turns by more in two of a hundred real courses only."""

_FEWEST_DONORS = 8
"""At least so many donors are drawn from where a course is completed."""


@dataclass(frozen=True)
class Course:
    """Centres of C1 ... L5 of one scan, in LPS mm, shape (24, 3); NaN where not given."""

    scan: str
    patient: str
    points_lps_mm: np.ndarray

    @cached_property
    def likely(self) -> bool:
        """Whether it turns at no level so much that a point must be wrong."""
        steps = np.diff(self.points_lps_mm, axis=0)
        steps /= np.linalg.norm(steps, axis=1, keepdims=True)
        return bool(np.nanmin((steps[1:] * steps[:-1]).sum(1)) > np.cos(np.deg2rad(_MOST_TURN_DEG)))


def read_courses(folder: Path) -> list[Course]:
    """Courses that posing can use, by name, of the tables in `folder`.

    See `vertseg.training.data.course_tables`.

    Scans with a gap, with L6 or T13, or with fewer than four levels are left out.
    """
    usable = [c for c in read_tables(folder) if c.points_lps_mm and max(c.points_lps_mm) <= LEVELS]
    newest = {course.entry: course for course in reversed(usable)}
    courses = (_course(course) for course in newest.values())
    return sorted((c for c in courses if c is not None), key=lambda c: c.scan)


def _course(table: TableCourse) -> Course | None:
    known = [label - 1 for label in table.points_lps_mm]
    if len(known) < 4 or np.ptp(known) + 1 != len(known):
        return None
    points = np.full((LEVELS, 3), np.nan)
    points[known] = [*table.points_lps_mm.values()]
    steps = np.linalg.norm(np.diff(points[np.sort(known)], axis=0), axis=1)
    if steps.min() < 10 or steps.max() > 50:
        return None
    return Course(table.entry, table.patient, points)


def split_by_patient(courses: list[Course], fraction: float = 0.1) -> tuple[list, list]:
    """(training, validation): every tenth patient, in the order of names, is held back."""
    patients = sorted({course.patient for course in courses})
    held = set(patients[:: round(1 / fraction)])
    train = [c for c in courses if c.patient not in held]
    return train, [c for c in courses if c.patient in held]


def complete(course: Course, donors: list[Course], rng: np.random.Generator) -> np.ndarray:
    """The course with all 24 levels, shape (24, 3): missing runs come from other scans.

    The offsets of a donor that runs in the same direction at the joint are appended as a run as
    long as it goes, scaled to the size of this spine; then the next donor is drawn.
    """
    points = course.points_lps_mm.copy()
    scale = _size(points)
    while np.isnan(points).any():
        seen = np.flatnonzero(np.isfinite(points[:, 0]))
        top, bottom = seen[0], seen[-1]
        start, step = (bottom, 1) if bottom < LEVELS - 1 else (top, -1)
        donor = _draw_donor(points, donors, start, step, rng).points_lps_mm
        ratio = scale / _size(donor) if start > 6 else 1.0
        level = start
        while 0 <= level + step < LEVELS and np.isfinite(donor[level + step, 0]):
            points[level + step] = points[level] + ratio * (donor[level + step] - donor[level])
            level += step
    return points


def _draw_donor(
    points: np.ndarray, donors: list[Course], start: int, step: int, rng: np.random.Generator
) -> Course:
    """One of the donors whose last step to `start` points most nearly where that of `points` does.

    Without that, the joint would turn as no spine does.
    """
    there = [start - step, start, start + step]
    fitting = [d for d in donors if np.isfinite(d.points_lps_mm[there]).all()]
    fitting = [d for d in fitting if d.likely] or fitting
    steps = np.stack([d.points_lps_mm[start] - d.points_lps_mm[start - step] for d in fitting])
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    likeness = steps @ (points[start] - points[start - step])
    nearest = np.argsort(-likeness, kind="stable")[: max(_FEWEST_DONORS, len(fitting) // 20)]
    return fitting[nearest[rng.integers(len(nearest))]]


def drift(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The course (24, 3) with sizes and curves about a level higher or lower than they were.

    Sizes alone do not tell the level: from C7 down, more and more, each step becomes that of a
    level above or below.
    """
    level = np.arange(LEVELS - 1)
    source = level + rng.normal(0.0, _DRIFT_SD_LEVELS) * np.clip((level - 6) / 12, 0.0, 1.0)
    steps = np.diff(points, axis=0)
    steps = np.stack([np.interp(source, level, steps[:, axis]) for axis in range(3)], axis=1)
    return np.concatenate([points[:1], points[:1] + np.cumsum(steps, axis=0)])


def _size(points: np.ndarray) -> float:
    """Size of a spine: its mean step over the mean step of the same levels in VerSe."""
    step = np.linalg.norm(np.diff(points, axis=0), axis=1)
    seen = np.isfinite(step)
    return float(np.mean(step[seen] / VERSE_STEP_MM[seen]))


VERSE_STEP_MM = np.array(
    [17.2, 18.5, 15.8, 16.0, 16.1, 17.6, 18.8, 20.9, 22.0, 22.2, 22.7, 23.3, 23.6, 24.1, 24.9]
    + [25.6, 27.4, 29.7, 31.6, 33.1, 34.1, 33.9, 31.8]
)
"""Mean distance of neighbouring centres C1-C2 ... L4-L5 over the VerSe centroids, in mm."""
