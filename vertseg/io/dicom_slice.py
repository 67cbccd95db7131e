"""What one slice of a DICOM series says of itself, and where in its file the stored values lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.io.dicom_file import DicomFile
from vertseg.io.scan_facts import ScanFacts

Triple = tuple[float, float, float]

IMPLICIT, EXPLICIT, BIG_ENDIAN = PLAIN_SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"),
)
"""UIDs of the transfer syntaxes that pack nothing."""


@dataclass(frozen=True, slots=True)
class Storage:
    """How the values of a slice are stored.

    Attributes:
        syntax: UID of the transfer syntax.
        packed: whether the values have to be unpacked, by GDCM or from a deflated file.
        big_endian: whether the first byte of a value is the highest.
        bits_allocated: of a value, with those that are not used.
        bits_stored: of a value.
        high_bit: number of its highest bit.
        signed: whether it may be negative.
        samples: values per pixel, 1 unless it is in colour.
    """

    syntax: str
    packed: bool
    big_endian: bool
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    samples: int

    @property
    def is_plain(self) -> bool:
        """Whether the transfer syntax packs nothing."""
        return self.syntax in PLAIN_SYNTAXES


@dataclass(frozen=True)
class Kind:
    """What the slices of a series have in common.

    Attributes:
        series_uid: identity of the series; may be empty.
        study_uid: of the study.
        frame_of_reference: identity of the coordinates.
        patient: identity, name and date of birth, to tell patients apart; goes nowhere else.
        series_name: number and description of the series, fit for a file name.
        modality: such as ``"CT"``.
        localizer: whether it is a scout view.
        secondary: whether it was stored as a secondary capture, not by the scanner.
        size: columns, rows.
        orientation: directions along a row and along a column, LPS; None if they are not stored.
        spacing: mm between rows, between columns; None if it is not stored.
        storage: how the values are stored.
        facts: how the scan was made.
    """

    series_uid: str
    study_uid: str
    frame_of_reference: str
    patient: tuple[str, str, str] = field(repr=False)
    series_name: str
    modality: str
    localizer: bool
    secondary: bool
    size: tuple[int, int]
    orientation: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    storage: Storage
    facts: ScanFacts

    @property
    def plane_bytes(self) -> int:
        """Bytes that the values of one slice take when they are not packed."""
        bits = self.storage.bits_allocated * self.storage.samples
        return self.size[0] * self.size[1] * bits // 8

    @property
    def screenshot(self) -> bool:
        """Whether it is a secondary capture without a place in space, or in colour."""
        placed = self.orientation is not None and self.spacing is not None
        return self.secondary and (not placed or self.storage.samples > 1 or self.modality != "CT")

    @cached_property
    def axes_lps(self) -> FloatArray:
        """(3, 3) steps in mm along columns and rows, and the unit normal; needs its geometry."""
        assert self.orientation is not None and self.spacing is not None
        along_row, along_column = np.reshape(self.orientation, (2, 3))
        normal = np.cross(along_row, along_column)
        length = float(np.linalg.norm(normal))
        normal = normal / length if length else normal
        between_rows, between_columns = self.spacing
        return np.stack([along_row * between_columns, along_column * between_rows, normal], axis=1)


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice: a file, or one frame of a file.

    Attributes:
        kind: what it has in common with others.
        file: in which it is stored.
        frame: its number in the file, from 0 on.
        sop_uid: identity of the image.
        position: centre of its first pixel, LPS mm; None if it is not stored.
        scale: slope and intercept from stored value to HU.
        offset: bytes from the start of the file to its values, or to all packed ones.
        state: size and time of change of the file when this was read.
        tube_current_ma: of the tube; None if it is not stored.
        damage: what is wrong with the file, such as ``"is cut short"``; empty if nothing.
    """

    kind: Kind
    file: DicomFile
    frame: int
    sop_uid: str
    position: Triple | None
    scale: tuple[float, float]
    offset: int
    state: tuple[int, int]
    tube_current_ma: float | None = None
    damage: str = ""

    @property
    def name(self) -> str:
        """For messages: the name of its file, and the frame where there are several."""
        return f"{self.file.name}, frame {self.frame + 1}" if self.frame else self.file.name


@dataclass(frozen=True, slots=True)
class Unusable:
    """A DICOM file that holds no image.

    Attributes:
        file: the file.
        reason: why, in a few words.
        damaged: whether it may have been a slice.
        series_uid: identity of its series, as far as it is known.
        modality: of it, as far as it is known.
    """

    file: DicomFile
    reason: str
    damaged: bool
    series_uid: str = ""
    modality: str = ""
