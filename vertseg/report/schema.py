"""The report of a case: its entries as JSON holds them."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from vertseg.measure.flag import FlagRow
from vertseg.measure.rows import VertebraRow
from vertseg.system.fingerprint import FingerprintRecord

SCHEMA = "vertseg-report-1"

Status = Literal["ok", "no_spine", "failed"]


class InputRecord(TypedDict):
    """The scan: name of its file, and, where it could be read, the fingerprint of its content."""

    file: str
    place: NotRequired[str]
    root: NotRequired[str | None]
    bytes: NotRequired[int]
    modified_ns: NotRequired[int]
    sha256: NotRequired[str]
    stamp: NotRequired[str]


class Geometry(TypedDict):
    """The grid of the scan, and what was repaired in its header."""

    size: list[int]
    spacing_mm: list[float]
    axes_towards: list[str]
    affine_ras: list[list[float]]
    intensities: str
    repairs: list[str]


class Course(TypedDict):
    """Points along the spine from the head downwards."""

    course_lps_mm: list[list[float]]


class Chain(TypedDict):
    """How sure the numbering is."""

    margin_nats: float | None
    rival: str
    rival_labels: NotRequired[list[RivalLabel]]
    second_look: NotRequired[str]
    level_shift_possible: bool
    upside_down_possible: bool


ChangeRecord = TypedDict(
    "ChangeRecord",
    {"when": str, "by": str, "change": str, "from": list[str], "to": list[str]},
)
"""How a person has changed the numbering: the names of all vertebrae before and after."""


class RivalLabel(TypedDict):
    """A vertebra's label, and the one that it has in the rival chain."""

    label: int
    rival_label: int


class AngleRow(TypedDict):
    """An angle between two end plates."""

    name: str
    upper: str
    lower: str
    degrees: float | None


class ErrorRecord(TypedDict):
    """Why a case failed, as in `vertseg.errors`."""

    what: str
    where: str
    expected: str
    remedy: str


class Findings(TypedDict):
    """What was found, measured and flagged; it does not depend on files."""

    status: Status
    geometry: Geometry
    acquisition: dict[str, Any]
    spine: Course
    sequence: Chain
    vertebrae: list[VertebraRow]
    angles: list[AngleRow]
    flags: list[FlagRow]
    warnings: list[str]
    heatmap_labels: NotRequired[list[int]]


class Head(TypedDict):
    """Which case it is, and what made the report."""

    schema: str
    notice: str
    case: str
    status: Status
    created: str
    software: dict[str, str]
    weights: dict[str, Any]
    options: dict[str, Any]
    device: dict[str, Any]


class Report(Head):
    """A report; one of a failed case has an error and lacks what would have been found."""

    input: InputRecord
    given_centroids: NotRequired[FingerprintRecord]
    geometry: NotRequired[Geometry]
    acquisition: NotRequired[dict[str, Any]]
    spine: NotRequired[Course]
    sequence: NotRequired[Chain]
    vertebrae: list[VertebraRow]
    angles: NotRequired[list[AngleRow]]
    flags: list[FlagRow]
    warnings: list[str]
    heatmap_labels: NotRequired[list[int]]
    seconds: dict[str, float]
    outputs: NotRequired[dict[str, str | None]]
    output_sha256: NotRequired[dict[str, str]]
    earlier_outputs: NotRequired[dict[str, dict[str, Any]]]
    failed_outputs: NotRequired[dict[str, str]]
    changed_by_person: NotRequired[list[ChangeRecord]]
    error: NotRequired[ErrorRecord]
