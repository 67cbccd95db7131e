"""Which files of a folder are scans, and what their outputs are called."""

from __future__ import annotations

import logging
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from vertseg.errors import InputError, NoInputError

_LOGGER = logging.getLogger(__name__)

_SUFFIX = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_BIDS_CT = re.compile(r"(sub-.+)_ct", re.IGNORECASE)
_LABEL_WORDS = frozenset(
    ("seg", "segs", "dseg", "segmentation", "segmentations", "msk", "label", "labels", "labelmap")
)
_LABEL_FOLDERS = re.compile(
    r"derivatives|labels(tr|ts)?|masks?|seg|segmentations?|predictions?", re.IGNORECASE
)
_FORMATS = "NIfTI files (.nii, .nii.gz)"


@dataclass(frozen=True)
class Case:
    """One scan and the names of its outputs.

    Attributes:
        path: the file.
        folder: its folder relative to the input folder; outputs mirror it.
        stem: its name without suffix, and in BIDS without ``_ct``.
        bids: whether it is named as in BIDS, ``sub-A_ct.nii.gz``.
    """

    path: Path
    folder: Path
    stem: str
    bids: bool

    @classmethod
    def from_path(cls, path: Path, root: Path) -> Case:
        """The case of a file that lies somewhere below `root`."""
        stem = _SUFFIX.sub("", path.name)
        bids = _BIDS_CT.fullmatch(stem)
        folder = path.parent.relative_to(root)
        return cls(path, folder, bids.group(1) if bids else stem, bids is not None)

    @property
    def name(self) -> str:
        """Path of the scan relative to the input folder, for people to read."""
        return (self.folder / self.path.name).as_posix()

    @property
    def mask(self) -> Path:
        """Multi-label mask, relative to the output folder, like the other outputs."""
        return self._output("_seg-vert_msk.nii.gz" if self.bids else "_seg.nii.gz")

    @property
    def centroids(self) -> Path:
        """Centroid file."""
        return self._output("_seg-subreg_ctd.json" if self.bids else "_ctd.json")

    @property
    def report(self) -> Path:
        """Report."""
        return self._output("_report.json")

    @property
    def preview(self) -> Path:
        """Preview picture."""
        return self._output("_preview.png")

    def _output(self, ending: str) -> Path:
        return self.folder / (self.stem + ending)


@dataclass(frozen=True)
class Skipped:
    """A NIfTI file that is left out on purpose.

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
        skipped: NIfTI files that are no scans.
        refused: scans that cannot be run because of their name; each error says which.
    """

    cases: tuple[Case, ...]
    skipped: tuple[Skipped, ...]
    refused: tuple[InputError, ...]


def find_cases(root: str | os.PathLike[str], only: str | None = None) -> Discovery:
    """Find the scans in a folder and all below it, or take a single file.

    Labels and masks are recognised by their name (``_seg``, ``_msk``, ``mask`` ...) or folder
    (``derivatives``, ``labels`` ...) and left out, as are hidden files; a file given by itself is
    always taken. Links are followed.

    Args:
        root: folder, or one NIfTI file.
        only: keep only scans whose file name or relative path fits this shell pattern.

    Raises:
        NoInputError: `root` does not exist or holds no scan.
    """
    start = Path(root)
    if start.is_file():
        cases = [Case.from_path(start, start.parent)] if _SUFFIX.search(start.name) else []
        skipped: list[Skipped] = []
    elif start.is_dir():
        cases, skipped = _sort_out(start)
    else:
        remedy = "Give an existing folder or file, or mount it into the container."
        raise NoInputError("does not exist", str(root), remedy=remedy)
    if only is not None:
        cases = [c for c in cases if fnmatch(c.path.name, only) or fnmatch(c.name, only)]
    if not cases:
        raise _nothing_found(str(root), only, skipped)
    kept, refused = _refuse_clashes(cases)
    return Discovery(tuple(kept), tuple(skipped), tuple(refused))


def _nothing_found(where: str, only: str | None, skipped: list[Skipped]) -> NoInputError:
    what = f"no scan fits the pattern {only!r}" if only is not None else "holds no scan"
    if skipped:
        what += f"; {len(skipped)} files were left out, such as {skipped[0].path.name}"
        what += f" ({skipped[0].reason})"
    return NoInputError(what, where, _FORMATS, "Check the folder and the names of its files.")


def _sort_out(root: Path) -> tuple[list[Case], list[Skipped]]:
    cases, skipped = [], []
    for path in sorted(_walk(root)):
        reason = _reason_to_skip(path, root)
        if reason:
            skipped.append(Skipped(path, reason))
        else:
            cases.append(Case.from_path(path, root))
    return cases, skipped


def _walk(root: Path) -> Iterator[Path]:
    """All NIfTI files below a folder; links are followed, each folder is entered once."""
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
        yield from (p for p in paths if _SUFFIX.search(p.name) and not os.path.isdir(p))


def _reason_to_skip(path: Path, root: Path) -> str:
    if path.name.startswith("."):
        return "hidden file"
    for folder in path.parent.relative_to(root).parts:
        if _LABEL_FOLDERS.fullmatch(folder):
            return f"in a folder for labels, {folder}"
    stem = _SUFFIX.sub("", path.name).lower()
    if _BIDS_CT.fullmatch(stem):
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
            refused.append(InputError(what, str(case.path), "one output name a scan", remedy))
    return [case for case in cases if case not in rivals], refused
