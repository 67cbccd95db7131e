"""Reading the headers of many files, several at a time, each in a process of its own.

Damaged files can hold up any parser; a file that the process cannot finish does not affect the
others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from vertseg.io.dicom_file import DicomFile
from vertseg.io.dicom_header import Header, read_headers
from vertseg.io.dicom_slice import Kind, Slice, Unusable
from vertseg.system.child import IsolationError, isolated
from vertseg.system.threads import processors

SECONDS = 20
FEWEST_FILES = 1000  # for which a further process is worth its start
_MOST_PROCESSES = 8
_AT_ONCE = 32  # headers in a message


@dataclass(frozen=True)
class Headers:
    """What the headers of many files say.

    Attributes:
        slices: of all images.
        unusable: DICOM files without an image, or damaged.
        others: files that do not begin like DICOM, and what is wrong with them.
    """

    slices: list[Slice] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)
    others: list[tuple[DicomFile, str]] = field(default_factory=list)


def search(files: Sequence[DicomFile]) -> Headers:
    """Read the headers of files that may be DICOM; errors in a file are reported, not raised.

    Slices of a kind share one object, and their order is that of the files.
    """
    found = Headers()
    shares = max(1, min(processors(), _MOST_PROCESSES, len(files) // FEWEST_FILES))
    with ThreadPoolExecutor(shares, "headers") as pool:
        parts = [files[n::shares] for n in range(shares)]
        results = list(pool.map(lambda part: list(_headers(part)), parts))
    kinds: dict[Kind, Kind] = {}
    for number, file in enumerate(files):
        header = results[number % shares][number // shares]
        if isinstance(header, str):
            found.others.extend([(file, header)] * bool(header))
        elif isinstance(header, Unusable):
            found.unusable.append(header)
        else:
            found.slices.extend(_share_kind(one, kinds) for one in header)
    return found


def _headers(files: Sequence[DicomFile]) -> Iterator[Header]:
    done, at_once = 0, _AT_ONCE
    while done < len(files):
        try:
            for headers in isolated(read_headers, files[done:], at_once, seconds=SECONDS):
                yield from headers
                done += len(headers)
        except IsolationError:
            if at_once == 1:
                yield Unusable(files[done], "is damaged", True)
                done += 1
            at_once = _AT_ONCE if at_once == 1 else 1  # so that the file is found


def _share_kind(one: Slice, kinds: dict[Kind, Kind]) -> Slice:
    kind = kinds.setdefault(one.kind, one.kind)
    return one if kind is one.kind else replace(one, kind=kind)
