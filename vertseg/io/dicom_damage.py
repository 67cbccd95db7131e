"""DICOM series, and which of them lack a slice because its file is damaged.

A file that is empty, cut short or a dead link does not say to which series it belongs. A scan that
may lack such a slice is not whole, so the file counts for every series of its folder.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vertseg.io.dicom_file import DicomFile, is_named_dicom
from vertseg.io.dicom_slice import Slice, Unusable

_FEWEST_SLICES = 3
_NAME_OF_LOST = "damaged"


@dataclass(frozen=True)
class Damaged:
    """A file that is, or may be, a slice which cannot be read.

    Attributes:
        file: the file.
        reason: what is wrong with it, such as ``"is empty"``.
    """

    file: DicomFile
    reason: str


@dataclass(frozen=True, eq=False)
class Series:
    """One series of images.

    Attributes:
        uid: identity of the series; may be empty.
        name: fit for a file, unlike that of any other series of the folder.
        folder: that holds its files, itself or in folders below.
        slices: in the order of their files.
        damaged: files that cannot be read and belong to it, or may do so.
        own_uids: whether each slice is, by its identities, a series of its own.
    """

    uid: str
    name: str
    folder: Path
    slices: tuple[Slice, ...]
    damaged: tuple[Damaged, ...] = ()
    own_uids: bool = False

    @property
    def sources(self) -> tuple[DicomFile, ...]:
        """Where its images are, damaged ones too, by name."""
        return tuple(sorted({s.file for s in self.slices} | {d.file for d in self.damaged}))

    @property
    def files(self) -> tuple[Path, ...]:
        """All files on the disk that hold it, by name: an archive is one."""
        return tuple(Path(path) for path in sorted({file.path for file in self.sources}))

    @property
    def archive(self) -> Path | None:
        """The zip archive in which it lies, if all of it lies in one."""
        packed = {file.path for file in self.sources if file.member}
        return Path(*packed) if len(packed) == len(self.files) == 1 else None


def attach_damage(
    series: Sequence[Series], broken: Sequence[Unusable], suspects: Sequence[Unusable]
) -> list[Series]:
    """The series with the damaged files that may belong to them, and series of nothing else.

    Args:
        series: of slices that can be read.
        broken: files that begin like DICOM images and are damaged.
        suspects: files that do not begin like DICOM; those not named like a slice are ignored.
    """
    house = _House(series)
    alike: dict[tuple[Path, str], list[Unusable]] = defaultdict(list)
    added: dict[int, list[Damaged]] = defaultdict(list)
    lost: dict[tuple[str, Path], list[Damaged]] = defaultdict(list)
    bad = [*broken, *(one for one in suspects if house.is_named_like_slice(one.file))]
    for one in suspects:
        if not house.is_named_like_slice(one.file) and one.reason != "is not DICOM":
            alike[one.file.folder, _pattern(one.file.name)].append(one)
    for (folder, _), several in alike.items():
        if len(several) >= _FEWEST_SLICES and not house.by_folder[folder]:
            bad += several
    for one in bad:
        damaged, owners = Damaged(one.file, one.reason), house.owners(one)
        for number in owners:
            added[number].append(damaged)
        if not owners:
            lost[one.series_uid, one.file.folder].append(damaged)
    whole = [replace(s, damaged=(*s.damaged, *added[n])) for n, s in enumerate(series)]
    return whole + [
        Series(uid, _name_of_lost(uid, files), folder, (), tuple(files))
        for (uid, folder), files in lost.items()
    ]


def _name_of_lost(uid: str, files: Sequence[Damaged]) -> str:
    path = files[0].file.path
    return Path(path).stem if uid == path else _NAME_OF_LOST  # an archive that cannot be unpacked


class _House:
    """Where series live: their folders, and how their files are named."""

    def __init__(self, series: Sequence[Series]) -> None:
        self.by_folder: dict[Path, set[int]] = defaultdict(set)
        self._by_uid: dict[str, set[int]] = defaultdict(set)
        self._around: dict[Path, set[int]] = defaultdict(set)
        self._patterns: dict[Path, set[str]] = defaultdict(set)
        for number, one in enumerate(series):
            self._by_uid[one.uid].add(number)
            for file in {s.file for s in one.slices} | {d.file for d in one.damaged}:
                self.by_folder[file.folder].add(number)
                self._patterns[file.folder].add(_pattern(file.name))
                if file.folder != one.folder:
                    self._around[file.folder.parent].add(number)

    def is_named_like_slice(self, file: DicomFile) -> bool:
        return is_named_dicom(file.name) or _pattern(file.name) in self._patterns[file.folder]

    def owners(self, bad: Unusable) -> set[int]:
        """Numbers of the series to which a damaged file may belong."""
        here = self.by_folder[bad.file.folder]
        if bad.series_uid:
            known = self._by_uid[bad.series_uid]
            return here & known or known
        return here or self._around[bad.file.folder.parent]


def _pattern(name: str) -> str:
    """A name with its numbers left out, which is the same for the slices of a series."""
    return re.sub(r"\d+", "#", name)
