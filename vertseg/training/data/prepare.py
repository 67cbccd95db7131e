"""From data sets in VerSe or BIDS files to a pool of plain arrays that training reads at once.

Every case is checked first (`vertseg.training.data.checks`); ``real/report.json`` of the pool
says what was refused and why, and which fold each case belongs to.

A case on the source grid of a stage, cut to what training can ever show of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models import Preset
from vertseg.errors import InputError
from vertseg.geometry.boxes import Box
from vertseg.labels import name_of
from vertseg.stages import ALL_STAGES
from vertseg.system.atomic import write_json
from vertseg.training.data.checks import check_case
from vertseg.training.data.dataset import CaseData, DataCase, find_data_cases, read_case
from vertseg.training.data.doubles import find_doubles
from vertseg.training.data.native import write_native
from vertseg.training.data.patients import (
    PARTICIPANTS,
    Alias,
    assign_folds,
    patients_of,
    read_participants,
)
from vertseg.training.data.real_files import (
    label_volume,
    landmarks_in,
    scan_volume,
    whole_vertebrae,
)
from vertseg.training.data.real_pool import FOLDER, REPORT, PoolCase, write_case
from vertseg.training.recipe import Recipe, recipes_for
from vertseg.training.volumes import ALONG_MM


@dataclass(frozen=True)
class PrepareConfig:
    """How a pool is made.

    Attributes:
        stages: whose grids are written.
        folds: number of folds.
        aliases: names of cases or subjects that are one patient.
        only: shell pattern of case names; None for all.
    """

    stages: tuple[str, ...] = ALL_STAGES
    folds: int = 3
    aliases: tuple[Alias, ...] = ()
    only: str | None = None


def prepare(
    folders: Sequence[Path], pool: Path, preset: Preset, config: PrepareConfig | None = None
) -> dict[str, Any]:
    """Check all cases of some folders, write the good ones to `pool`, and report.

    Args:
        folders: data sets; a ``participants.tsv`` in one of them says who is the same patient.
            Scans that show the same are taken as such, too (`vertseg.training.data.doubles`).
        pool: where to; files of the same names are replaced.
        preset: whose stages' grids are used.
        config: stages, folds and patients.

    Returns:
        The report, which is also written: ``cases`` and ``refused``, each a list of records.

    Raises:
        NoInputError: there is no case.
        ConfigurationError: a table of participants cannot be used.
    """
    config = config or PrepareConfig()
    cases = find_data_cases(folders, config.only)
    tables = [folder / PARTICIPANTS for folder in folders]
    aliases = [a for table in tables if table.is_file() for a in read_participants(table)]
    doubles = find_doubles(cases)
    known = [*aliases, *config.aliases, *doubles]
    patients = patients_of([case.name for case in cases], known)
    folds = assign_folds(patients, config.folds)
    rows = []
    for case in tqdm(cases, unit="scan", disable=None):
        row, data = _checked(case)
        row["notes"] += [_alike(case.name, pair) for pair in doubles if case.name in pair]
        row |= {"patient": patients[case.name], "fold": folds[case.name]}
        if data is not None:
            row["files"] = _write(pool, data, preset, config, row)
        rows.append(row)
    good = [row for row in rows if not row["problems"]]
    refused = [row for row in rows if row["problems"]]
    report = {"preset": preset.name, "folds": config.folds, "cases": good, "refused": refused}
    write_json(pool / FOLDER / REPORT, report)
    return report


def _alike(name: str, pair: tuple[str, str]) -> str:
    other = pair[0] if name == pair[1] else pair[1]
    return f"shows the same as {other}, and counts as the same patient"


def report_in_words(report: dict[str, Any]) -> str:
    """The report for a terminal: one line per case, then the refused ones with their reasons."""
    lines = []
    for row in report["cases"]:
        kinds = " + ".join(kind for kind in ("scan", "mask", "points") if row[kind])
        lines.append(
            f"{row['name']}: fold {row['fold']}, patient {row['patient']}, "
            f"{len(row['vertebrae'])} vertebrae, {kinds}"
        )
        lines += [f"    {note}" for note in row["notes"]]
    for row in report["refused"]:
        lines.append(f"{row['name']}: REFUSED: {'; '.join(row['problems'])}")
    count, patients = len(report["cases"]), len({row["patient"] for row in report["cases"]})
    vertebrae = sum(len(row["vertebrae"]) for row in report["cases"])
    lines.append(
        f"{count} cases of {patients} patient{'s' * (patients != 1)} with {vertebrae} vertebrae "
        "are prepared, "
        f"{len(report['refused'])} refused"
    )
    return "\n".join(lines)


def _checked(case: DataCase) -> tuple[dict[str, Any], CaseData | None]:
    """The record of a case, and what its files hold if it can be used."""
    files = case.files
    row: dict[str, Any] = {
        "name": case.name,
        "scan": str(files.scan or ""),
        "mask": str(files.mask or ""),
        "points": str(files.centroids or ""),
        "vertebrae": [],
        "notes": [f"left out, another one was found first: {path}" for path in case.ignored],
        "problems": [],
    }
    try:
        data = read_case(case)
    except InputError as error:
        return row | {"problems": [str(error)]}, None
    findings = check_case(data)
    known = set(data.points_lps_mm or ())
    if data.points_lps_mm is None and data.mask is not None:
        known = {int(label) for label in np.unique(data.mask) if label}
    row["vertebrae"] = [name_of(label) for label in sorted(known)]
    row["spacing_mm"] = [round(step, 4) for step in data.grid.spacing]
    row["notes"] += findings.notes
    row["problems"] += findings.problems
    return row, None if findings.problems else data


def _write(
    pool: Path, data: CaseData, preset: Preset, config: PrepareConfig, row: Mapping[str, Any]
) -> list[str]:
    """Writes what the stages of a preset learn from; the names of the files."""
    stages = {stage: getattr(preset, stage) for stage in config.stages}
    whose = (row["patient"], row["fold"])
    files = []
    for sigma in sorted({c.smoothing_sigma_mm for c in stages.values() if c.published}):
        files += write_native(pool, data, sigma, *whose)
    refined = {stage: c for stage, c in stages.items() if not c.published}
    recipes = [recipe for stage, c in refined.items() for recipe in recipes_for(stage, c)]
    volumes = [stage_case(data, recipe, *whose) for recipe in recipes]
    return files + [write_case(pool, volume).name for volume in volumes if volume]


_SPARE_VOXELS = 2


def stage_case(data: CaseData, recipe: Recipe, patient: str, fold: int) -> PoolCase | None:
    """The case for one stage; None where that stage cannot learn from it.

    The spine stage learns from scans with points, the vertebrae stage from them and from masks,
    the segmentation stage from masks, with their scans where there are any.
    """
    stage, spacing = recipe.stage, recipe.source_spacing_mm
    annotated = data.points_lps_mm is not None
    labels = hu = None
    points: dict[int, np.ndarray] = {}
    whole: frozenset[int] = frozenset()
    if stage != "spine" and data.mask is not None and data.mask_grid is not None:
        labels = label_volume(data.mask, data.mask_grid, data.grid, spacing)
        points = whole_vertebrae(labels)
        whole = frozenset(points)
    wanted = annotated if stage != "segmentation" else labels is not None
    if data.image is not None and wanted:
        hu = scan_volume(data.image, spacing)
    if data.points_lps_mm is not None:
        points = landmarks_in(data.points_lps_mm, data.grid, spacing)
        whole &= frozenset(points)
    volume = hu if hu is not None else labels
    shown = {label: points[label] for label in recipe.wanted(points)}
    if volume is None or not shown:
        return None
    box = _seen(shown, volume.shape, recipe)
    start = np.array([part.start for part in box])
    return PoolCase(
        name=data.name,
        patient=patient,
        fold=fold,
        stage=recipe.name,
        spacing_mm=spacing,
        points={label: point - start for label, point in points.items()},
        annotated=annotated,
        whole=whole,
        hu=None if hu is None else hu[box],
        labels=None if labels is None else labels[box],
    )


def _seen(points: Mapping[int, np.ndarray], shape: tuple[int, ...], recipe: Recipe) -> Box:
    """The voxels that some window of the recipe can show."""
    jitter_mm = np.array([recipe.translation_mm, recipe.translation_mm, ALONG_MM])
    if recipe.stage == "segmentation":
        jitter_mm = np.abs([recipe.config.shift_at(label) for label in points]).max(0)
    reach = 0.5 * np.array(recipe.source_size) + jitter_mm / recipe.source_spacing_mm
    places = np.array([*points.values()])
    low = np.floor(places.min(0) - reach).astype(int) - _SPARE_VOXELS
    high = np.ceil(places.max(0) + reach).astype(int) + _SPARE_VOXELS
    x, y, z = (
        slice(max(int(a), 0), max(min(int(b) + 1, n), 1))
        for a, b, n in zip(low, high, shape, strict=True)
    )
    return x, y, z
