"""Which files of a folder are scans."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from vertseg.batch.identity import refuse_clashes
from vertseg.batch.layouts import recognise_layout
from vertseg.batch.options import common_root
from vertseg.batch.walk import walk
from vertseg.errors import InputError, NoInputError
from vertseg.io.case import BIDS_CT, Case
from vertseg.io.dicom_damage import Series
from vertseg.io.dicom_series import find_series
from vertseg.io.formats import IN_WORDS, split_suffix
from vertseg.io.label_map import is_label_map

_LABEL_WORDS = frozenset(
    ("seg", "segs", "dseg", "segmentation", "segmentations", "msk", "label", "labels", "labelmap")
    + ("heatmap",)
)
_LABEL_FOLDERS = re.compile(
    r"derivatives|labels(tr|ts)?|masks?|seg|segmentations?|predictions?", re.IGNORECASE
)


_DERIVATIVES = ", derivatives"
_NOT_LISTED = "not listed in inputs.json"


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
        skipped: files of these formats that are not scans.
        refused: scans that cannot be run because of their name, and folders that cannot be
            searched; each error says which.
    """

    cases: tuple[Case, ...]
    skipped: tuple[Skipped, ...]
    refused: tuple[InputError, ...]


def find_cases(
    root: str | os.PathLike[str] | Sequence[Path],
    only: str | Sequence[str] | None = None,
    output: Path | None = None,
) -> Discovery:
    """Find the scans in a folder and all below it, or take a single file.

    A folder may hold a DICOM series: alone it is a case named like the folder, otherwise (and in
    the input folder itself) each series is a case named by its number and description.

    Labels and masks are recognised by their name (``_seg``, ``_msk``, ``mask`` ...) or folder
    (``labels``, ``masks`` ...) and then by what is in them: a CT is taken, whatever it is called.
    Hidden files, and all below a folder ``derivatives``, are left out; a file given by itself is
    always taken. Links are followed.

    Args:
        root: folder, or one file; or several, whose cases are named from the folder that holds
            them all.
        only: keep only scans whose file name or relative path fits this shell pattern, or one of
            several.
        output: the output folder, which is left out.

    Raises:
        NoInputError: `root` does not exist or holds no scan.
    """
    roots = [Path(root)] if isinstance(root, str | os.PathLike) else list(dict.fromkeys(root))
    for one in roots:
        if not os.path.exists(one):
            remedy = "Give an existing folder or file, or mount it into the container."
            raise NoInputError("does not exist", str(one), remedy=remedy)
    trouble: list[InputError] = []
    found, skipped = _sort_out(roots, common_root(roots), output, trouble)
    if not found and trouble and Path(trouble[0].where) in roots:
        raise NoInputError(trouble[0].what, trouble[0].where, remedy=trouble[0].remedy)
    cases = found
    if len(roots) == 1 and os.path.isdir(roots[0]):
        cases = recognise_layout(found, roots[0])
        listed = {case.path for case in cases}
        skipped += [Skipped(c.path, _NOT_LISTED) for c in found if c.path not in listed]
    if only is not None:
        patterns = (only,) if isinstance(only, str) else tuple(only)
        cases = [case for case in cases if _fits(case, patterns)]
    if not cases and not trouble:
        raise _nothing_found(", ".join(map(str, roots[:3])), only, skipped)
    kept, refused = refuse_clashes(cases)
    return Discovery(tuple(kept), tuple(skipped), (*refused, *trouble))


def _fits(case: Case, patterns: Iterable[str]) -> bool:
    return any(fnmatch(case.path.name, p) or fnmatch(case.name, p) for p in patterns)


def _nothing_found(
    where: str, only: str | Sequence[str] | None, skipped: list[Skipped]
) -> NoInputError:
    pattern = only if isinstance(only, str) or only is None else " or ".join(only)
    what = f"no scan matches the pattern {pattern!r}" if pattern is not None else "holds no scan"
    if skipped:
        what += f"; {len(skipped)} files were left out, such as {skipped[0].path.name}"
        what += f" ({skipped[0].reason})"
    return NoInputError(what, where, IN_WORDS, "Check the folder and the names of its files.")


def _sort_out(
    roots: Sequence[Path], base: Path, output: Path | None, trouble: list[InputError]
) -> tuple[list[Case], list[Skipped]]:
    """Cases and what is left out, of all inputs; what lies in two of them counts once."""
    cases: dict[str, Case] = {}
    skipped: dict[str, Skipped] = {}
    others: dict[str, tuple[Path, Path]] = {}
    entered: set[str] = set()
    for given in roots:
        root = Path(os.path.abspath(given)) if len(roots) > 1 else given
        for path in walk(root, output, trouble, entered) if os.path.isdir(root) else [root]:
            key = os.path.abspath(path)
            if not split_suffix(path.name)[1]:
                others.setdefault(key, (path, root))
            elif path != root and (reason := _reason_to_skip(path, root)):
                skipped[key] = Skipped(path, reason)
            else:
                cases.setdefault(key, Case.from_path(path, base))
    series, left = _dicom_cases(dict(others.values()), base)
    found = [*cases.values(), *series]
    left += (one for key, one in skipped.items() if key not in cases)
    return sorted(found, key=lambda case: case.where), sorted(left, key=lambda one: one.path)


def _dicom_cases(inputs: Mapping[Path, Path], base: Path) -> tuple[list[Case], list[Skipped]]:
    """A case for each DICOM series; `inputs` gives for each file the input in which it lies."""
    found, left = find_series(inputs)
    skipped = [Skipped(other.path, other.reason) for other in left]
    kept = []
    for series in found:
        root = inputs[series.files[0]]
        inside = series.folder if series.folder.is_relative_to(root) else root
        reason = _reason_to_skip(inside / "series", root) if os.path.isdir(root) else ""
        if reason:
            skipped.append(Skipped(series.files[0], reason))
        else:
            kept.append(series)
    folders = Counter(series.folder for series in kept)
    given = {series.files[0] for series in kept if _is_given(series, inputs)}
    cases = [
        _case_of_file(series, base)
        if series.files[0] in given
        else Case.from_series(series, base, folders[series.folder] == 1)
        for series in kept
    ]
    return cases, skipped


def _is_given(series: Series, inputs: Mapping[Path, Path]) -> bool:
    """Whether a series is one file, such as one with many frames, that is an input by itself."""
    file = series.files[0]
    return len(series.files) == 1 and inputs[file] == file and series.archive is None


def _case_of_file(series: Series, base: Path) -> Case:
    file = series.files[0]
    return Case(file, file.parent.relative_to(base), file.stem, False, series=series)


def _reason_to_skip(path: Path, root: Path) -> str:
    """Why a file or series is not a scan, in a few words; empty if it is one."""
    if path.name.startswith("."):
        return "hidden file"
    reason = _label_folder(path, root) or _label_name(path)
    if not reason or not split_suffix(path.name)[1] or reason.lower().endswith(_DERIVATIVES):
        return reason
    labels = is_label_map(path)
    if labels is None:
        return f"{reason}, and cannot be read"
    return f"{reason}, with labels in it" if labels else ""


def _label_folder(path: Path, root: Path) -> str:
    for folder in path.parent.relative_to(root).parts:
        if _LABEL_FOLDERS.fullmatch(folder):
            return f"in a folder for labels, {folder}"
    return ""


def _label_name(path: Path) -> str:
    stem = split_suffix(path.name)[0].lower()
    if BIDS_CT.fullmatch(stem):
        return ""
    words = re.split(r"[-_. ]+", stem)
    return "named like a mask" if "mask" in stem or _LABEL_WORDS.intersection(words) else ""
