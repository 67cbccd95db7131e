"""The report of one case: everything that is needed to trust, repeat or question its outputs."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertseg.errors import VertsegError
from vertseg.io.case import Case
from vertseg.io.image import Image
from vertseg.measure import Analysis
from vertseg.measure.rows import rounded
from vertseg.report.run_info import RunInfo
from vertseg.report.schema import (
    SCHEMA,
    ErrorRecord,
    Findings,
    Geometry,
    Head,
    Report,
    RivalLabel,
    Status,
)
from vertseg.system.fingerprint import Fingerprint
from vertseg.version import NOTICE

if TYPE_CHECKING:
    from vertseg.stages.result import Result

_PACKAGES = (
    "openvino",
    "keras",
    "tensorflow",
    "jax",
    "numpy",
    "scipy",
    "nibabel",
    "SimpleITK",
)


def build_report(
    case: Case,
    fingerprint: Fingerprint,
    run: RunInfo,
    result: Result,
    analysis: Analysis,
    outputs: Mapping[str, Path],
    seconds: Mapping[str, float],
) -> Report:
    """The report of a case that was written.

    Args:
        case: the scan and the names of its outputs.
        fingerprint: of the scan's file.
        run: what all cases share.
        result: what was found.
        analysis: what was measured in it.
        outputs: kind of output -> its path relative to the output folder.
        seconds: stage -> seconds, in the order of the stages.
    """
    written = {"mask": None, **outputs, "preview": case.preview}
    report: Report = {
        **_head(case, result.status, run),
        "input": {"file": case.path.name, **fingerprint.as_dict()},
        **findings(result, analysis),
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
        "outputs": {
            kind: None if path is None else _beside(path, case.report)
            for kind, path in written.items()
        },
    }
    if case.given_centroids is not None:
        report["given_centroids"] = Fingerprint.of(case.given_centroids).as_dict()
    return report


def outputs_of_earlier_runs(earlier: Report, asked: Collection[str]) -> dict[str, Any]:
    """What a report says of outputs that stay beside those of its own run.

    Args:
        earlier: the report that is replaced; of the same scan.
        asked: names, seen from the report, of outputs that were asked for now, whether or not
            there is anything to write.

    Returns:
        Kind of output -> its file, its hash, and by which version, weights and options it was made.
    """
    hashes = earlier.get("output_sha256") or {}
    run = {name: earlier.get(name) for name in ("created", "weights", "options", "given_centroids")}
    run["vertseg"] = (earlier.get("software") or {}).get("vertseg")
    named = {
        kind: {"file": file, "sha256": hashes.get(kind), **run}
        for kind, file in (earlier.get("outputs") or {}).items()
        if file
    }
    before = earlier.get("earlier_outputs")
    found = {**(before if isinstance(before, dict) else {}), **named}
    return {
        kind: entry
        for kind, entry in found.items()
        if isinstance(entry, dict) and entry.get("file") not in asked
    }


def findings(result: Result, analysis: Analysis) -> Findings:
    """The part of a report that does not depend on files: what was found, measured and flagged."""
    warnings = dict.fromkeys((*result.image.warnings, *result.warnings))  # each one once
    found: Findings = {
        "status": result.status,
        "geometry": _geometry(result.image),
        "acquisition": result.image.facts.as_dict(),
        "spine": {"course_lps_mm": [[round(x, 1) for x in p] for p in result.spine_lps_mm]},
        "sequence": {
            "margin_nats": rounded(result.margin, 2),
            "rival": result.rival,
            "rival_labels": _rival_labels(result),
            "second_look": result.second_look,
            "level_shift_possible": result.level_shift_possible,
            "upside_down_possible": result.upside_down_possible,
        },
        "vertebrae": analysis.rows,
        "angles": [
            {"name": a.name, "upper": a.upper, "lower": a.lower, "degrees": rounded(a.degrees, 1)}
            for a in analysis.angles
        ],
        "flags": [flag.as_dict() for flag in analysis.flags],
        "warnings": list(warnings),
    }
    for heatmap in result.heatmaps:
        if heatmap.labels:
            found["heatmap_labels"] = list(heatmap.labels)  # along its last axis
    return found


def _rival_labels(result: Result) -> list[RivalLabel]:
    """Of each vertebra that is one in the rival, too, the label here and there."""
    return [
        {"label": vertebra.label, "rival_label": rival}
        for vertebra, rival in zip(result.vertebrae, result.rival_labels, strict=False)
        if rival is not None
    ]


def _beside(path: Path, report: Path) -> str:
    """Path of an output as seen from the report's folder."""
    return Path(os.path.relpath(path, report.parent)).as_posix()


def build_failure(case: Case, error: VertsegError, run: RunInfo) -> Report:
    """The report of a case that could not be done: which, why, and what to do."""
    return {
        **_head(case, "failed", run),
        "input": {"file": case.path.name},
        "error": error_as_dict(error),
        "vertebrae": [],
        "flags": [],
        "warnings": [],
        "seconds": {},
    }


def error_as_dict(error: VertsegError) -> ErrorRecord:
    """An error as a report holds it."""
    return {
        "what": error.what,
        "where": error.where,
        "expected": error.expected,
        "remedy": error.remedy,
    }


def _head(case: Case, status: Status, run: RunInfo) -> Head:
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "case": case.name,
        "status": status,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": {
            "vertseg": run.version,
            **_versions(),
            "backend": run.device.get("backend", ""),
        },
        "weights": run.weights,
        "options": run.options.as_dict(),
        "device": run.device,
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _geometry(image: Image) -> Geometry:
    grid = image.grid
    return {
        "size": list(grid.size),
        "spacing_mm": [round(value, 4) for value in grid.spacing],
        "axes_towards": list(grid.axis_codes()),
        "affine_ras": [[round(value, 6) for value in row] for row in grid.affine_ras.tolist()],
        "intensities": image.intensities,
        "repairs": list(image.warnings),
    }
