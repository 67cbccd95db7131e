"""Which DICOM series a folder and the folders below it hold."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vertseg.io.archive import is_archive, members_of
from vertseg.io.dicom_damage import Damaged, Series, attach_damage
from vertseg.io.dicom_file import DicomFile, is_candidate
from vertseg.io.dicom_search import search
from vertseg.io.dicom_slice import Slice, Unusable
from vertseg.io.formats import split_suffix

_NOT_SCANS = {
    "SEG": "a segmentation",
    "RTSTRUCT": "contours",
    "RTPLAN": "a treatment plan",
    "RTDOSE": "a dose",
    "SR": "a document",
    "DOC": "a document",
    "PR": "display settings",
    "KO": "a selection of images",
    "REG": "a registration",
}
_SAME_MM = 0.01
_FEWEST_SLICES = 3


@dataclass(frozen=True)
class Left:
    """A DICOM file that is not a scan.

    Attributes:
        path: the file.
        reason: why it is left out, in a few words.
    """

    path: Path
    reason: str


def find_series(files: Iterable[Path]) -> tuple[list[Series], list[Left]]:
    """Sort DICOM files into series by their series identity, whatever folders they lie in.

    Scout views, screenshots, segmentations and documents are left out. Series that are not usable
    CT are kept: reading them says what is wrong. So are those of which nothing can be read.

    Args:
        files: of a folder and of those below it; others than DICOM are ignored. A zip archive
            counts as a folder.
    """
    paths = sorted(files)
    packed, unread = _in_archives(paths)
    plain = [DicomFile(str(path)) for path in paths if is_candidate(path.name)]
    found = search(plain + packed)
    slices = [one for one in found.slices if not _reason_to_leave_out(one)]
    left = {one.file: _reason_to_leave_out(one) for one in found.slices}
    left |= {bad.file: _no_scan(bad) for bad in found.unusable if not _may_be_slice(bad)}
    broken = [bad for bad in found.unusable if _may_be_slice(bad)] + unread
    suspects = [Unusable(file, reason, True) for file, reason in found.others]
    series = attach_damage(_grouped(slices), broken, suspects)
    named = _named(_joined_if_each_has_its_own(series))
    return named, [Left(Path(file.path), reason) for file, reason in left.items() if reason]


def _in_archives(paths: Iterable[Path]) -> tuple[list[DicomFile], list[Unusable]]:
    """Files in zip archives that may be DICOM, and archives that hold something else to be read."""
    files, unread = [], []
    for path in paths:
        try:
            members = members_of(str(path)) if is_archive(path) else []
        except OSError as error:
            reason = f"cannot be unpacked, it {error.strerror}"
            unread.append(Unusable(DicomFile(str(path)), reason, True, _uid_of(path)))
            continue
        scans = [name for name in members if split_suffix(name)[1]]
        if scans:
            what = f"holds {os.path.basename(scans[0])}: archives are read for DICOM alone, so "
            reason = what + "unpack it"
            unread.append(Unusable(DicomFile(str(path)), reason, True, _uid_of(path)))
        names = (name for name in members if is_candidate(os.path.basename(name)))
        files += [DicomFile(str(path), name) for name in names]
    return files, unread


def _uid_of(archive: Path) -> str:
    """Stands for the series of an archive, so that no other series is blamed for it."""
    return str(archive)


def _reason_to_leave_out(one: Slice) -> str:
    if one.kind.modality in _NOT_SCANS:
        return f"DICOM, {_NOT_SCANS[one.kind.modality]}"
    if one.kind.localizer:
        return "DICOM, a scout view"
    return "DICOM, a screenshot" if one.kind.screenshot else ""


def _no_scan(bad: Unusable) -> str:
    what = _NOT_SCANS.get(bad.modality)
    return f"DICOM, {what}" if what else bad.reason


def _may_be_slice(bad: Unusable) -> bool:
    return bad.damaged and bad.modality not in _NOT_SCANS


def _grouped(slices: Iterable[Slice]) -> list[Series]:
    """A series for each identity; for each of its folders, where their slices make no volume."""
    members: dict[str, dict[Path, list[Slice]]] = {}
    for one in slices:
        parts = members.setdefault(one.kind.series_uid, {})
        parts.setdefault(one.file.folder, []).append(one)
    series = []
    for uid, parts in members.items():
        lists = list(parts.values())
        if uid and len(lists) > 1 and _fit_together(lists):
            lists = [[one for part in lists for one in part]]
        series += [_series_of(part) for part in lists]
    return series


def _fit_together(parts: Sequence[Sequence[Slice]]) -> bool:
    """Whether the slices of several folders are of one kind, and no two at the same place."""
    first = parts[0][0].kind
    kinds = {one.kind for part in parts for one in part}
    same = all(
        (kind.patient, kind.study_uid, kind.frame_of_reference, kind.size)
        == (first.patient, first.study_uid, first.frame_of_reference, first.size)
        for kind in kinds
    )
    if not same or any(kind.orientation is None or kind.spacing is None for kind in kinds):
        return False
    slices = [one for part in parts for one in part]
    if any(one.position is None for one in slices):
        return False
    normal = first.axes_lps[:, 2]
    heights = sorted(float(normal @ one.position) for one in slices)  # type: ignore[operator]
    return all(upper - lower > _SAME_MM for lower, upper in zip(heights, heights[1:], strict=False))


def _series_of(slices: Sequence[Slice]) -> Series:
    damaged = {one.file: one.damage for one in slices if one.damage}
    return Series(
        slices[0].kind.series_uid,
        slices[0].kind.series_name,
        Path(os.path.commonpath({str(one.file.folder) for one in slices})),
        tuple(one for one in slices if not one.damage),
        tuple(Damaged(file, reason) for file, reason in damaged.items()),
    )


def _joined_if_each_has_its_own(series: list[Series]) -> list[Series]:
    """One series for all of a folder that are of one kind and have a single slice each."""
    single: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for one in series:
        if len(one.slices) == 1 and one.slices[0].position is not None:
            kind = one.slices[0].kind
            key = (one.folder, kind.study_uid, kind.patient, kind.size, kind.modality)
            single[*key, kind.orientation].append(one)
    for several in single.values():
        if len(several) >= _FEWEST_SLICES and several[0].slices[0].kind.study_uid:
            damaged = {bad for one in several for bad in one.damaged}
            slices = tuple(one.slices[0] for one in several)
            joined = replace(several[0], slices=slices, damaged=tuple(damaged), own_uids=True)
            series = [one for one in series if one not in several] + [joined]
    return series


def _named(series: Sequence[Series]) -> list[Series]:
    """The series, told apart by a part of their identity where several have one name."""
    keys = [(one.folder, one.name.casefold()) for one in series]
    named = []
    for one, key in zip(series, keys, strict=True):
        ending = "_" + re.sub(r"[^\w.]+", "-", one.uid[-8:]) if keys.count(key) > 1 else ""
        named.append(replace(one, name=one.name + ending))
    return named
