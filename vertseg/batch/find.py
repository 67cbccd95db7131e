"""Which files of a folder are scans."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from vertseg.batch.layouts import recognise_layout
from vertseg.errors import InputError, NoInputError
from vertseg.io.case import BIDS_CT, Case
from vertseg.io.dicom_damage import Series
from vertseg.io.dicom_series import find_series
from vertseg.io.formats import IN_WORDS, split_suffix

_LOGGER = logging.getLogger(__name__)

_LABEL_WORDS = frozenset(
    ("seg", "segs", "dseg", "segmentation", "segmentations", "msk", "label", "labels", "labelmap")
    + ("heatmap",)
)
_LABEL_FOLDERS = re.compile(
    r"derivatives|labels(tr|ts)?|masks?|seg|segmentations?|predictions?", re.IGNORECASE
)


@dataclass(frozen=True)
class Skipped:
    """A file that is left out on purpose.

    Attributes:
        path: the file.
        reason: why, in a few words.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Discovery:
    """What was found in an input folder.

    Attributes:
        cases: the scans, sorted by name.
        skipped: files of these formats that are no scans.
        refused: scans that cannot be run because of their name; each error says which.
    """

    cases: tuple[Case, ...]
    skipped: tuple[Skipped, ...]
    refused: tuple[InputError, ...]


def find_cases(root: str | os.PathLike[str], only: str | Sequence[str] | None = None) -> Discovery:
    """Find the scans in a folder and all below it, or take a single file.

    A folder may hold a DICOM series: alone it is a case named like the folder, otherwise (and in
    the input folder itself) each series is a case named by its number and description.

    Labels and masks are recognised by their name (``_seg``, ``_msk``, ``mask`` ...) or folder
    (``derivatives``, ``labels`` ...) and left out, as are hidden files; a file given by itself is
    always taken. Links are followed.

    Args:
        root: folder, or one file.
        only: keep only scans whose file name or relative path fits this shell pattern, or one of
            several.

    Raises:
        NoInputError: `root` does not exist or holds no scan.
    """
    start = Path(root)
    if os.path.isfile(start):
        cases, skipped = _single(start)
    elif os.path.isdir(start):
        cases, skipped = _sort_out(start)
        cases = recognise_layout(cases, start)
    else:
        remedy = "Give an existing folder or file, or mount it into the container."
        raise NoInputError("does not exist", str(root), remedy=remedy)
    if only is not None:
        patterns = (only,) if isinstance(only, str) else tuple(only)
        cases = [case for case in cases if _fits(case, patterns)]
    if not cases:
        raise _nothing_found(str(root), only, skipped)
    kept, refused = _refuse_clashes(cases)
    return Discovery(tuple(kept), tuple(skipped), tuple(refused))


def _fits(case: Case, patterns: Iterable[str]) -> bool:
    return any(fnmatch(case.path.name, p) or fnmatch(case.name, p) for p in patterns)


def _single(file: Path) -> tuple[list[Case], list[Skipped]]:
    """The case of a file that was given by itself, such as one DICOM file with many frames."""
    if split_suffix(file.name)[1]:
        return [Case.from_path(file, file.parent)], []
    found, left = find_series([file])
    skipped = [Skipped(other.path, other.reason) for other in left]
    if not any(series.archive for series in found):
        return [Case(file, Path(), file.stem, False, series=series) for series in found], skipped
    return _cases_of(found, file.parent), skipped


def _nothing_found(
    where: str, only: str | Sequence[str] | None, skipped: list[Skipped]
) -> NoInputError:
    pattern = only if isinstance(only, str) or only is None else " or ".join(only)
    what = f"no scan fits the pattern {pattern!r}" if pattern is not None else "holds no scan"
    if skipped:
        what += f"; {len(skipped)} files were left out, such as {skipped[0].path.name}"
        what += f" ({skipped[0].reason})"
    return NoInputError(what, where, IN_WORDS, "Check the folder and the names of its files.")


def _sort_out(root: Path) -> tuple[list[Case], list[Skipped]]:
    cases: list[Case] = []
    skipped: list[Skipped] = []
    others: list[Path] = []
    for _, files in _walk(root):
        for path in files:
            if not split_suffix(path.name)[1]:
                others.append(path)
            elif reason := _reason_to_skip(path, root):
                skipped.append(Skipped(path, reason))
            else:
                cases.append(Case.from_path(path, root))
    series, left = _dicom_cases(others, root)
    cases += series
    skipped += left
    return sorted(cases, key=lambda case: case.where), sorted(skipped, key=lambda left: left.path)


def _dicom_cases(files: Iterable[Path], root: Path) -> tuple[list[Case], list[Skipped]]:
    """A case for each DICOM series below the input folder."""
    found, left = find_series(files)
    skipped = [Skipped(other.path, other.reason) for other in left]
    kept = []
    for series in found:
        if reason := _reason_to_skip(series.folder / "series", root):
            skipped.append(Skipped(series.files[0], reason))
        else:
            kept.append(series)
    return _cases_of(kept, root), skipped


def _cases_of(found: Sequence[Series], root: Path) -> list[Case]:
    folders = Counter(series.folder for series in found)
    return [Case.from_series(series, root, folders[series.folder] == 1) for series in found]


def _walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """All folders and their files; links are followed, each folder is entered once."""
    pending = deque([root])
    entered: set[str] = set()
    while pending:
        folder = pending.popleft()
        real = os.path.realpath(folder)
        if real in entered:
            continue
        entered.add(real)
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            _LOGGER.warning("%s cannot be searched: %s", folder, error.strerror)
            continue
        paths = [folder / name for name in names]
        pending.extend(p for p in paths if os.path.isdir(p) and not p.name.startswith("."))
        yield folder, [p for p in paths if not os.path.isdir(p)]


def _reason_to_skip(path: Path, root: Path) -> str:
    if path.name.startswith("."):
        return "hidden file"
    for folder in path.parent.relative_to(root).parts:
        if _LABEL_FOLDERS.fullmatch(folder):
            return f"in a folder for labels, {folder}"
    stem = split_suffix(path.name)[0].lower()
    if BIDS_CT.fullmatch(stem):
        return ""
    words = re.split(r"[-_. ]+", stem)
    return "named like a mask" if "mask" in stem or _LABEL_WORDS.intersection(words) else ""


def _refuse_clashes(cases: list[Case]) -> tuple[list[Case], list[InputError]]:
    """Refuse all scans that would write the same file as another."""
    writers: dict[Path, list[Case]] = {}
    for case in cases:
        for output in (case.mask, case.centroids, case.report, case.preview):
            writers.setdefault(output, []).append(case)
    rivals = {case: others for others in writers.values() if len(others) > 1 for case in others}
    refused = []
    for case in cases:
        if case in rivals:
            others = ", ".join(other.name for other in rivals[case] if other is not case)
            what = f"would write the same files as {others}"
            remedy = "Rename one of them, or keep only one."
            refused.append(InputError(what, str(case.where), "one output name a scan", remedy))
    return [case for case in cases if case not in rivals], refused
