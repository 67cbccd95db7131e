"""What a header knows of how a scan was made, as far as Hounsfield units depend on it.

From DICOM elements, or from the JSON file that BIDS and dcm2niix put beside a NIfTI file, whose
keys have the names of those elements. Nothing that identifies the patient is included: text that
contains a part of the name or the identity is left out.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Phase = Literal["native", "arterial", "portal venous", "venous", "nephrographic", "delayed"]

_LONGEST_TEXT = 64
_OLDEST = 90.0  # a higher age can tell who somebody is
_LARGEST_FILE_BYTES = 1 << 20
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([YMWD])?", re.IGNORECASE)
_NO_AGENT = re.compile(
    r"(|-+|0+|no(ne)?( contrast)?|non[- ]?contrast|without.*|n/?a|unknown|ohne.*|kein.*|sans.*)",
    re.IGNORECASE,
)
_NATIVE = re.compile(
    r"\b(nativ\w*|plain|unenhanced|un-enhanced|non[- _]?(contrast|enhanced)|nect|ncct"
    r"|without[ _]contrast|no[ _]contrast|w/?o([ _]contrast)?|ohne[ _]?km|sans[ _]injection|-c)\b",
    re.IGNORECASE,
)
_PHASES: dict[Phase, re.Pattern[str]] = {
    "portal venous": re.compile(r"\b(porto?[ -]?ven\w*|portal\w*|pvp?)\b", re.I),
    "arterial": re.compile(r"\b(arteri\w*|art|angio\w*|cta)\b", re.I),
    "nephrographic": re.compile(r"\b(nephro\w*)\b", re.I),
    "delayed": re.compile(r"\b(delay\w*|late|sp[aä]t\w*|excretory|urographic|uro)\b", re.I),
    "venous": re.compile(r"\b(veno?u?s\w*|ven)\b", re.I),
}
_WITH_CONTRAST = re.compile(
    r"\b(cect|post[ _-]?contrast|with[ _]contrast|contrast[ _-]enhanced|enhanced|mit[ _]?km|km)\b"
    r"|(?<!\w)(\+c|c\+|w/? ?c(ontrast)?)(?!\w)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """What is known of how a scan was made; None where the header does not say.

    Attributes:
        kvp: peak voltage of the tube, kV.
        contrast: whether contrast medium was given.
        contrast_agent: its name as stored.
        phase: of the contrast medium, from words of the descriptions.
        kernel: of the reconstruction.
        slice_thickness_mm: as reconstructed; the distance of slices may be another.
        tube_current_ma: of the tube, mean of the slices.
        scanner: manufacturer and model.
        age_years: of the patient at the time of the scan; 90 for all who are older.
        sex: of the patient, ``"F"``, ``"M"`` or ``"O"``.
    """

    kvp: float | None = None
    contrast: bool | None = None
    contrast_agent: str | None = None
    phase: Phase | None = None
    kernel: str | None = None
    slice_thickness_mm: float | None = None
    tube_current_ma: float | None = None
    scanner: str | None = None
    age_years: float | None = None
    sex: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON and tables, key by key as above."""
        return asdict(self)


FACT_KEYWORDS = (
    *("KVP", "ContrastBolusAgent", "SeriesDescription", "ProtocolName", "ConvolutionKernel"),
    *("SliceThickness", "Manufacturer", "ManufacturerModelName", "PatientAge", "PatientSex"),
)
"""Keywords of the DICOM elements that hold facts, but for the current, which changes by slice."""

FACTS = tuple(ScanFacts().as_dict())
"""Names of the facts, in the order in which they are listed."""


def facts_from(values: Mapping[str, Any], secrets: Collection[str] = ()) -> ScanFacts:
    """The facts from values by the keywords of DICOM.

    Args:
        values: such as ``{"KVP": "120", "ConvolutionKernel": "B70f"}``; unusable ones do no harm.
        secrets: name and identities of the patient.
    """
    hidden = {word for text in secrets for word in _words(text) if len(word) > 2}

    def text(*keys: str) -> str:
        found = next((value for key in keys if (value := _text(values.get(key)))), "")
        return "" if hidden & set(_words(found)) else found

    agent = text("ContrastBolusAgent", "ContrastBolusIngredient")
    described = " ".join(
        filter(None, map(text, ("SeriesDescription", "ProtocolName", "ContrastBolusAgent")))
    )
    contrast, phase = _contrast(agent, described)
    scanner = [text("Manufacturer"), text("ManufacturerModelName", "ManufacturersModelName")]
    sex = text("PatientSex").upper()[:1]
    return ScanFacts(
        kvp=_positive(values.get("KVP", values.get("KiloVoltagePeak"))),
        contrast=contrast,
        contrast_agent=agent if contrast and agent else None,
        phase=phase,
        kernel=text("ConvolutionKernel") or None,
        slice_thickness_mm=_positive(values.get("SliceThickness")),
        tube_current_ma=_positive(values.get("XRayTubeCurrent")),
        scanner=" ".join(filter(None, scanner)) or None,
        age_years=_age(values.get("PatientAge")),
        sex=sex if sex in ("F", "M", "O") else None,
    )


def facts_beside(path: str | os.PathLike[str]) -> ScanFacts:
    """The facts from ``X.json`` beside ``X.nii.gz``; none where there is no such file."""
    file = Path(path)
    stem = re.sub(r"\.(nii\.gz|nii|mha|mhd|nrrd)$", "", file.name, flags=re.IGNORECASE)
    beside = file.with_name(f"{stem}.json")
    try:
        if not beside.is_file() or beside.stat().st_size > _LARGEST_FILE_BYTES:
            return ScanFacts()
        values = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ScanFacts()
    if not isinstance(values, dict):
        return ScanFacts()
    secrets = [_text(values.get(key)) for key in ("PatientName", "PatientID")]
    return facts_from(values, secrets)


def _contrast(agent: str, described: str) -> tuple[bool | None, Phase | None]:
    if agent and not _NO_AGENT.fullmatch(agent):
        return True, _phase(described)
    if _NATIVE.search(described) or agent:
        return False, "native"
    phase = _phase(described)
    return (True if phase or _WITH_CONTRAST.search(described) else None), phase


def _phase(described: str) -> Phase | None:
    text = described.replace("_", " ")
    return next((name for name, words in _PHASES.items() if words.search(text)), None)


def _text(value: Any) -> str:
    """One line of printable text; several values are joined."""
    if value is None or isinstance(value, dict):
        return ""
    several = isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue"
    text = " ".join(map(str, value)) if several else str(value)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST_TEXT]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", re.sub(r"_", " ", text.casefold()))


def _positive(value: Any) -> float | None:
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _age(value: Any) -> float | None:
    found = _AGE.fullmatch(_text(value))
    if not found or (found[2] is None and isinstance(value, str) and len(value) > 3):
        return None
    years = float(found[1]) * _YEARS[(found[2] or "Y").upper()]
    return min(round(years, 1), _OLDEST) if years <= 130 else None
