"""Real spine courses: the vertebral-body centres of many scans, from the tables of the data folder.

Two kinds of tables are read: ``centroids_vid.csv`` (one centre a line: scan, source, level, x, y,
z) and ``landmarks_verse19.csv`` / ``landmarks_verse20.csv`` (one scan a line: id, then x, y, z of
C1..L5, L6, T13). All points are in LPS mm.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vertseg.labels import label_of

_LANDMARK_LABELS = (*range(1, 26), label_of("T13"))
_VERSE_ID = re.compile(r"(?:verse|gl)\d+", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Course:
    """The vertebral-body centres of one scan.

    Attributes:
        scan: id, unique over all tables; VerSe's own id in lower case where there is one.
        source: where the scan comes from: ``"verse"``, ``"colonography"``, ``"pancreas"``,
            or ``"other"``.
        table: name of the table that it was read from, without suffix.
        points_lps_mm: label -> (3,) point, in the order of the table.
        entry: id of the scan in that table.
        file: the file that the scan was read from, where the table names it.
    """

    scan: str
    source: str
    table: str
    points_lps_mm: dict[int, np.ndarray]
    entry: str = ""
    file: str = ""

    @property
    def patient(self) -> str:
        """Whom it shows: the VerSe subject, or else the folder of the file."""
        verse = re.search(r"verse\d{3}", self.file.rsplit("/", 1)[-1])
        return verse.group(0) if verse else self.file.rsplit("/", 1)[0] or self.entry


def read_courses(data: Path) -> list[Course]:
    """All courses of a data folder, each scan once.

    A VerSe scan that is in several tables is taken from the newest landmark table.

    Args:
        data: folder that holds the three tables; absent tables are left out.

    Raises:
        FileNotFoundError: none of the tables is there.
    """
    courses: dict[str, Course] = {}
    for course in read_tables(data):
        courses.setdefault(course.scan, course)
    return list(courses.values())


def read_tables(data: Path) -> list[Course]:
    """What every table of a data folder holds, the newest landmark table first.

    Args:
        data: folder that holds the three tables; absent tables are left out.

    Raises:
        FileNotFoundError: none of the tables is there.
    """
    readers = (
        ("landmarks_verse20.csv", _read_landmarks),
        ("landmarks_verse19.csv", _read_landmarks),
        ("centroids_vid.csv", _read_centroids),
    )
    present = [(data / name, read) for name, read in readers if (data / name).is_file()]
    if not present:
        names = ", ".join(name for name, _ in readers)
        raise FileNotFoundError(f"none of {names} is in {data}")
    return [course for path, read in present for course in read(path)]


def _read_landmarks(path: Path) -> Iterator[Course]:
    """Courses of a landmark table."""
    with path.open(newline="") as file:
        for scan, *numbers in csv.reader(file):
            points = np.array(numbers, float).reshape(-1, 3)
            labels = _LANDMARK_LABELS[: len(points)]
            present = zip(labels, points, strict=True)
            yield Course(
                _verse_id(scan) or scan,
                "verse",
                path.stem,
                {label: point for label, point in present if np.isfinite(point).all()},
                entry=scan,
            )


def _read_centroids(path: Path) -> Iterator[Course]:
    """Courses of a table with one centre a line."""
    courses: dict[str, Course] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            scan = row["scan"]
            if scan not in courses:
                source = _source(row["source"])
                name = _verse_id(row["source"]) if source == "verse" else None
                courses[scan] = Course(name or scan, source, path.stem, {}, scan, row["source"])
            point = np.array([row[f"{axis}_lps_mm"] for axis in "xyz"], float)
            courses[scan].points_lps_mm[label_of(row["level"])] = point
    yield from courses.values()


def _verse_id(name: str) -> str | None:
    """VerSe's id of a scan in a file name: the last one, which names the part of a split scan."""
    found = _VERSE_ID.findall(Path(name).name)
    return found[-1].lower() if found else None


def _source(name: str) -> str:
    """Kind of source of a file name in the table of centroids."""
    kinds = {"verse": "verse", "COLONOG": "colonography", "Pancreas": "pancreas"}
    return next((kind for start, kind in kinds.items() if name.startswith(start)), "other")
