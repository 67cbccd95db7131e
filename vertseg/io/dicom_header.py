"""The header of one DICOM file, read with pydicom: what sorts slices into series and volumes.

Where the stored values lie in the file is noted as well, so that reading them needs no second look
at it. All of this is done in a process of its own, see `vertseg.io.dicom_search`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, cast

from vertseg.io.dicom_file import DicomFile
from vertseg.io.dicom_frames import frame_facts, frames_of
from vertseg.io.dicom_slice import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    PLAIN_SYNTAXES,
    Kind,
    Slice,
    Storage,
    Triple,
    Unusable,
)
from vertseg.io.dicom_values import numbers, plain_text, text_of, value_of
from vertseg.io.scan_facts import FACT_KEYWORDS, facts_from

Header = tuple[Slice, ...] | Unusable | str
"""Slices of an image file, or why it is none; text for a file that is not DICOM, such as
``"is empty"``, which is without words for an index and the like."""

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_IMAGE_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", _SECONDARY_CAPTURE)  # CT, enhanced CT too
_INDEX_CLASS = "1.2.840.10008.1.3.10"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_PIXEL_DATA = 0x7FE00010
_PIXELS = (0x7FE00008, 0x7FE00009, _PIXEL_DATA)  # the others are of real numbers
_STORED_CLASS_TAG, _SYNTAX_TAG = 0x00020002, 0x00020010
_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM, _END_OF_ITEMS = 0xE000, 0xE0DD
_LONGEST_NAME = 40
_CUT = "is cut short"

_SHARED = (
    *("SpecificCharacterSet", "ImageType", "SOPClassUID", "Modality", "SeriesNumber"),
    *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID"),
    *("PatientBirthDate", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"),
    *("SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *FACT_KEYWORDS,
)
"""Elements that are the same in most slices of a series."""

_OWN = (
    *("SOPInstanceUID", "ImagePositionPatient", "RescaleSlope", "RescaleIntercept"),
    *("XRayTubeCurrent", "NumberOfFrames"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)


def read_headers(files: Sequence[DicomFile], at_once: int = 1) -> Iterator[list[Header]]:
    """The header of each file, so many at once; slices of a kind share one object."""
    kinds: dict[Any, Kind] = {}
    for start in range(0, len(files), at_once):
        yield [_read_safely(file, kinds) for file in files[start : start + at_once]]


def _read_safely(file: DicomFile, kinds: dict[Any, Kind]) -> Header:
    try:
        return _read(file, kinds)
    except OSError as error:
        return Unusable(file, f"cannot be read: {error.strerror or error}", True)
    except MemoryError:
        return Unusable(file, "needs more memory to read than is free", True)
    except Exception:  # whatever pydicom makes of damaged bytes
        return Unusable(file, "is damaged", True)


@dataclass
class _Opened:
    """The elements of a file up to its pixels.

    Attributes:
        dataset: the elements.
        state: size and time of change of the file.
        pixels: tag of the pixels, 0 where they are missing.
        offset: bytes before their values.
        length: bytes that they are said to take.
        raw: keyword -> value as stored; pydicom's conversion takes most of the time.
        syntax: UID of the transfer syntax.
        sop_class: UID of the kind of object.
    """

    dataset: Any
    state: tuple[int, int]
    pixels: int
    offset: int
    length: int
    raw: dict[str, Any] = field(init=False)
    syntax: str = field(init=False)
    sop_class: str = field(init=False)

    def __post_init__(self) -> None:
        names = _keywords()
        found = [(names.get(int(one.tag)), one.value) for one in self.dataset.values()]
        self.raw = {name: value for name, value in found if name}
        meta = {int(one.tag): one.value for one in self.dataset.file_meta.values()}
        implicit, little = self.dataset.original_encoding
        usual = IMPLICIT if implicit else EXPLICIT if little else BIG_ENDIAN
        self.syntax = plain_text(meta.get(_SYNTAX_TAG)) or usual
        stored_as = plain_text(meta.get(_STORED_CLASS_TAG))
        self.sop_class = plain_text(self.raw.get("SOPClassUID")) or stored_as

    @property
    def many_frames(self) -> bool:
        """Whether it has several frames, or says of its one frame what those say."""
        counted = numbers(self.raw.get("NumberOfFrames"), 1)
        return "PerFrameFunctionalGroupsSequence" in self.raw or bool(counted and counted[0] > 1)


def _read(file: DicomFile, kinds: dict[Any, Kind]) -> Header:
    reason, first = file.begin()
    if reason:
        return reason
    opened = _open(file, first)
    if opened.sop_class == _INDEX_CLASS:
        return ""
    if not (opened.sop_class or opened.pixels or opened.dataset.preamble):
        return "is not DICOM"
    if opened.pixels != _PIXEL_DATA:
        return _without_image(file, opened)
    kind = _kind(opened, kinds)
    if min(kind.size) < 1 or not kind.storage.bits_allocated:
        return Unusable(file, "is damaged", True, kind.series_uid, kind.modality)
    slices = _frames(file, opened, kind) if opened.many_frames else [_slice(file, opened, kind)]
    damage = _damage(file, opened, kind, len(slices))
    return tuple(replace(one, damage=damage) for one in slices) if damage else tuple(slices)


def _open(file: DicomFile, first: io.BytesIO) -> _Opened:
    """Read the elements, from the first bytes of the file where they are enough."""
    state = file.state()
    try:
        opened = _elements(first, state)
        if opened.pixels or state[0] <= len(first.getbuffer()):
            return opened
    except Exception:  # the elements go on beyond the first bytes
        if state[0] <= len(first.getbuffer()):
            raise
    with file.open() as stream:
        return _elements(stream, state)


def _elements(stream: Any, state: tuple[int, int]) -> _Opened:
    from pydicom.filereader import read_partial

    found = (0, 8, 0)

    def is_pixels(tag: int, vr: str | None, length: int) -> bool:
        nonlocal found
        number = int(tag)  # pydicom's own comparison of tags takes long
        if number < _PIXELS[0] or number not in _PIXELS:
            return False
        found = (number, 8 if vr is None else 12, length)
        return True

    dataset = read_partial(stream, is_pixels, force=True, specific_tags=list(_keywords()))
    tag, head_bytes, length = found
    return _Opened(dataset, state, tag, stream.tell() + head_bytes, length)


@lru_cache(maxsize=1)
def _keywords() -> dict[int, str]:
    """Tag -> keyword of the elements that are read."""
    from pydicom.datadict import tag_for_keyword

    return {int(tag_for_keyword(name) or 0): name for name in (*_SHARED, *_OWN)}


def _without_image(file: DicomFile, opened: _Opened) -> Unusable:
    """A document, or an image whose pixels were lost."""
    sop_class = opened.sop_class
    may_be = not sop_class or sop_class.startswith(_IMAGE_CLASSES) or "Rows" in opened.raw
    lost = not opened.pixels and may_be
    reason = _CUT if lost else "DICOM without an image"
    modality = plain_text(opened.raw.get("Modality")).upper()
    return Unusable(file, reason, lost, plain_text(opened.raw.get("SeriesInstanceUID")), modality)


def _kind(opened: _Opened, kinds: dict[Any, Kind]) -> Kind:
    """What most slices of a series share; made once for all that have the same elements."""
    if opened.many_frames:  # whose sequences say more
        return _made_kind(opened)
    shared = ((name, value) for name, value in opened.raw.items() if name not in _OWN)
    key = (opened.syntax, *((name, _hashable(value)) for name, value in shared))
    if key not in kinds:
        kinds[key] = _made_kind(opened)
    return kinds[key]


def _hashable(value: Any) -> Any:
    return value if isinstance(value, bytes | str | None) else str(value)


def _made_kind(opened: _Opened) -> Kind:
    dataset = opened.dataset
    patient = ("PatientID", "PatientName", "PatientBirthDate")
    known = tuple(text_of(dataset, name) for name in patient)
    facts = {name: value_of(dataset, name) for name in FACT_KEYWORDS} | frame_facts(dataset)
    numbered = (text_of(dataset, "SeriesNumber"), text_of(dataset, "SeriesDescription"))
    return Kind(
        series_uid=text_of(dataset, "SeriesInstanceUID"),
        study_uid=text_of(dataset, "StudyInstanceUID"),
        frame_of_reference=text_of(dataset, "FrameOfReferenceUID"),
        patient=cast(tuple[str, str, str], known),
        series_name=_file_name(*numbered),
        modality=text_of(dataset, "Modality").upper(),
        localizer="LOCALIZER" in text_of(dataset, "ImageType").upper().split("\\"),
        secondary=opened.sop_class.startswith(_SECONDARY_CAPTURE),
        size=(_whole(dataset, "Columns"), _whole(dataset, "Rows")),
        orientation=numbers(opened.raw.get("ImageOrientationPatient"), 6),
        spacing=cast(tuple[float, float] | None, numbers(opened.raw.get("PixelSpacing"), 2)),
        storage=_storage(opened),
        facts=facts_from(facts, known[:2]),
    )


def _storage(opened: _Opened) -> Storage:
    dataset = opened.dataset
    allocated = _whole(dataset, "BitsAllocated")
    stored = _whole(dataset, "BitsStored") or allocated
    plain = opened.syntax in PLAIN_SYNTAXES and opened.length != _UNDEFINED_LENGTH
    return Storage(
        syntax=opened.syntax,
        packed=not plain or allocated not in (8, 16, 32),
        big_endian=opened.syntax == BIG_ENDIAN,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=_whole(dataset, "HighBit") or stored - 1,
        signed=_whole(dataset, "PixelRepresentation") == 1,
        samples=_whole(dataset, "SamplesPerPixel") or 1,
    )


def _slice(file: DicomFile, opened: _Opened, kind: Kind) -> Slice:
    raw = opened.raw
    slope = numbers(raw.get("RescaleSlope"), 1) or (1.0,)
    intercept = numbers(raw.get("RescaleIntercept"), 1) or (0.0,)
    current = numbers(raw.get("XRayTubeCurrent"), 1)
    return Slice(
        kind=kind,
        file=file,
        frame=0,
        sop_uid=plain_text(raw.get("SOPInstanceUID")),
        position=cast(Triple | None, numbers(raw.get("ImagePositionPatient"), 3)),
        scale=(slope[0] or 1.0, intercept[0]),
        offset=opened.offset,
        state=opened.state,
        tube_current_ma=current[0] if current else None,
    )


def _frames(file: DicomFile, opened: _Opened, kind: Kind) -> list[Slice]:
    """A slice for each frame of a file."""
    first = _slice(file, opened, kind)
    kinds: dict[Any, Kind] = {}
    slices = []
    step = 0 if kind.storage.packed else kind.plane_bytes
    for number, frame in enumerate(frames_of(opened.dataset)):
        key = (frame.orientation, frame.spacing)
        if key not in kinds:
            kinds[key] = replace(kind, orientation=frame.orientation, spacing=frame.spacing)
        placed = replace(first, kind=kinds[key], frame=number, position=frame.position)
        slices.append(replace(placed, scale=frame.scale, offset=opened.offset + number * step))
    return slices


def _damage(file: DicomFile, opened: _Opened, kind: Kind, frames: int) -> str:
    """What is wrong with the stored values, as far as that can be told without reading them."""
    if opened.syntax == _DEFLATED:
        return ""
    if opened.length == _UNDEFINED_LENGTH:
        return "" if _ends_properly(file, opened.offset) else _CUT
    if opened.offset + opened.length > opened.state[0]:
        return _CUT
    wanted = 0 if kind.storage.packed else kind.plane_bytes * frames
    return "holds fewer values than its header says" if opened.length < wanted else ""


def _ends_properly(file: DicomFile, offset: int) -> bool:
    """Whether the items that hold packed values are all there, and their end as well."""
    with file.open() as stream:
        stream.seek(offset)
        while len(head := stream.read(8)) == 8:
            group, element = (int.from_bytes(head[n : n + 2], "little") for n in (0, 2))
            if (group, element) == (0xFFFE, _END_OF_ITEMS):
                return True
            if (group, element) != (0xFFFE, _ITEM):
                return False
            stream.seek(int.from_bytes(head[4:], "little"), 1)
    return False


def _whole(dataset: Any, keyword: str) -> int:
    found = numbers(value_of(dataset, keyword), 1)
    return int(found[0]) if found else 0


def _file_name(*parts: str) -> str:
    """Parts joined into a name without blanks, separators or leading dots."""
    clean = (re.sub(r"[^\w.+]+", "-", part).strip("-.") for part in parts)
    return "_".join(filter(None, clean))[:_LONGEST_NAME] or "series"
