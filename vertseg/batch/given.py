"""Centroid files that somebody has checked or corrected, from which scans are segmented."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

from vertseg.batch.find import Discovery
from vertseg.errors import ConfigurationError, InputError
from vertseg.geometry.centroid import Centroid
from vertseg.io.annotations import read_points, sorted_files
from vertseg.io.centroids import read_centroids
from vertseg.io.image import Image
from vertseg.labels import is_vertebra, name_of

_LOGGER = logging.getLogger(__name__)

_OPTION = "--centroids"


def give_centroids(
    found: Discovery, folder: Path | None, output: Path, only_given: bool = False
) -> Discovery:
    """Give each case its file from the folder; cases without one stay as they are.

    A file belongs to a case if it lies where the program itself would write it, or else if it has
    such a name anywhere in the folder.

    Args:
        found: the cases.
        folder: with centroid files; None if there is none.
        output: the output folder.
        only_given: refuse the cases without a file.

    Raises:
        ConfigurationError: the folder does not exist, is the output folder, or fits no case.
    """
    if folder is None:
        return found
    if not folder.is_dir():
        raise ConfigurationError("is not a folder", f"{_OPTION} {folder}", "centroid files")
    if output.exists() and folder.samefile(output):
        remedy = "Copy the corrected files into a folder of their own."
        what = "is the output folder, whose files would be overwritten"
        raise ConfigurationError(what, f"{_OPTION} {folder}", remedy=remedy)
    named = _by_name(folder, output)
    cases, refused = [], list(found.refused)
    for case in found.cases:
        exact = [folder / path for path in (case.centroids, case.markups)]
        files = [path for path in exact if path.is_file()] or named.get(case.stem, [])
        if len(files) > 1:
            what = f"{len(files)} centroid files have its name, such as {files[0]} and {files[1]}"
            remedy = "Keep the right one, or keep them in the folders of their scans."
            refused.append(InputError(what, str(case.where), "one file", remedy))
        elif only_given and not files:
            what, remedy = "has no centroid file", "Add it, or run all stages."
            refused.append(InputError(what, str(case.where), f"{case.centroids}", remedy))
        else:
            cases.append(replace(case, given_centroids=files[0] if files else None))
    count = sum(case.given_centroids is not None for case in cases)
    if not count and len(refused) == len(found.refused):
        what = "holds no centroid file of any scan"
        remedy = "Name them X_ctd.json or X_ctd.mrk.json for X.nii.gz."
        raise ConfigurationError(what, f"{_OPTION} {folder}", remedy=remedy)
    _LOGGER.info("Centroids are given for %d of %d scans.", count, len(cases))
    return replace(found, cases=tuple(cases), refused=tuple(refused))


def read_given(path: Path, image: Image) -> list[Centroid]:
    """The vertebrae of a centroid file, which must all lie within the scan.

    Raises:
        InputError: no centroid file, a vertebra twice, or one outside the scan.
    """
    where = str(path)
    labels = Counter(centroid.label for centroid in read_centroids(path, image)[0])
    double = [name_of(label) for label, count in labels.items() if count > 1 and is_vertebra(label)]
    if double:
        what = f"has {', '.join(double)} more than once"
        raise InputError(what, where, "one centroid per vertebra", "Correct the file.")
    points = read_points(path, image.grid)
    outside = [name_of(label) for label, point in points.items() if not image.grid.contains(point)]
    if outside:
        what = f"{', '.join(outside)} would lie outside the scan"
        remedy = "Check whether the file belongs to this scan."
        raise InputError(what, where, "centroids within the scan", remedy)
    return [Centroid.at(label, point) for label, point in points.items()]


def _by_name(folder: Path, output: Path) -> dict[str, list[Path]]:
    """Centroid files and markups below a folder, but not in the output folder, by case."""
    files: dict[str, list[Path]] = {}
    for name, kind, path in sorted_files(folder):
        if kind in ("centroids", "markups") and not path.resolve().is_relative_to(output.resolve()):
            files.setdefault(name, []).append(path)
    return files
