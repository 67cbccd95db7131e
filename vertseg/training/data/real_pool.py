"""Prepared cases as plain arrays: one ``.npz`` per case and stage, read with numpy alone.

They lie in ``real/`` of a pool folder, beside the phantoms, as ``CASE.STAGE.npz``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vertseg.errors import ConfigurationError

FOLDER = "real"
REPORT = "report.json"

_SCALARS = ("name", "patient", "fold", "stage", "spacing_mm", "annotated")


@dataclass(frozen=True, eq=False)
class PoolCase:
    """A case on the source grid of one stage: isotropic, axes towards L, P, S.

    Attributes:
        name: of the case.
        patient: whom it shows.
        fold: fold of the patient, 0, 1, ...
        stage: whose grid it is.
        spacing_mm: voxel size.
        points: label -> (3,) voxel coordinates.
        annotated: whether the points come from a file; else they are guessed from the mask.
        whole: labels whose mask does not touch the border and which have a point.
        hu: int16 (x, y, z); None for a mask without its scan.
        labels: uint8 (x, y, z) of vertebrae; None for a scan without mask.
    """

    name: str
    patient: str
    fold: int
    stage: str
    spacing_mm: float
    points: dict[int, np.ndarray]
    annotated: bool = True
    whole: frozenset[int] = frozenset()
    hu: np.ndarray | None = field(default=None, repr=False)
    labels: np.ndarray | None = field(default=None, repr=False)


def is_real_pool(folder: Path) -> bool:
    """Whether a folder holds prepared cases."""
    return (folder / FOLDER / REPORT).is_file()


def holds_cases(folder: Path, stage: str) -> bool:
    """Whether a pool holds prepared cases for a stage, or for one of its source grids."""
    return any((folder / FOLDER).glob(f"*.{stage}.npz"))


def fold_of_cases(pool: Path) -> dict[str, int]:
    """Case -> fold, from the report of a prepared pool.

    Raises:
        ConfigurationError: there is no such report.
    """
    path = pool / FOLDER / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        return {row["name"]: int(row["fold"]) for row in report["cases"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "Make it with: python -m vertseg.training prepare."
        raise ConfigurationError(f"cannot be read: {error}", str(path), remedy=remedy) from error


def write_case(folder: Path, case: PoolCase) -> Path:
    """Write a case into a pool folder and return its file.

    Raises:
        OutputError: it cannot be written.
    """
    from vertseg.system.atomic import atomic_writer  # late: reading needs numpy only

    arrays = {name: np.array(getattr(case, name)) for name in _SCALARS}
    arrays["names"] = np.array([*case.points], np.int16)
    arrays["points"] = np.array([*case.points.values()], np.float64).reshape(-1, 3)
    arrays["whole"] = np.array(sorted(case.whole), np.int16)
    for name, volume in (("hu", case.hu), ("labels", case.labels)):
        if volume is not None:
            arrays[name] = volume
    path = folder / FOLDER / f"{case.name}.{case.stage}.npz"
    with atomic_writer(path) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return path


def read_cases(
    folder: Path,
    spacing_mm: float,
    leave_out: Collection[str] = (),
    fold: int | None = None,
    only_fold: bool = False,
) -> list[PoolCase]:
    """The cases of a pool at one spacing, by name.

    Args:
        folder: of the pool.
        spacing_mm: that of the stage's source grid.
        leave_out: names of cases.
        fold: a fold whose cases are left out; None for none.
        only_fold: take the cases of `fold`, and no others.

    Raises:
        ConfigurationError: the pool was made for other spacings.
    """
    found, spacings = [], set()
    for path in sorted((folder / FOLDER).glob("*.npz")):
        with np.load(path) as data:
            spacing = float(data["spacing_mm"])
            spacings.add(spacing)
            if abs(spacing - spacing_mm) > 1e-6:
                continue
            left_out = fold is not None and (int(data["fold"]) == fold) != only_fold
            if str(data["name"]) in leave_out or left_out:
                continue
            found.append(_from_arrays(data))
    if spacings and not any(abs(spacing - spacing_mm) <= 1e-6 for spacing in spacings):
        raise ConfigurationError(
            f"the pool holds no case at {spacing_mm:.4g} mm",
            str(folder),
            "one of " + ", ".join(f"{spacing:.4g}" for spacing in sorted(spacings)),
            "Prepare it again with the preset that is trained.",
        )
    return found


def _from_arrays(data: Mapping[str, Any]) -> PoolCase:
    points = dict(zip(map(int, data["names"]), data["points"], strict=True))
    return PoolCase(
        name=str(data["name"]),
        patient=str(data["patient"]),
        fold=int(data["fold"]),
        stage=str(data["stage"]),
        spacing_mm=float(data["spacing_mm"]),
        points=points,
        annotated=bool(data["annotated"]),
        whole=frozenset(map(int, data["whole"])),
        hu=data.get("hu"),
        labels=data.get("labels"),
    )
