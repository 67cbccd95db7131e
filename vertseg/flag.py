"""One thing to check in a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["check", "note"]


@dataclass(frozen=True)
class Flag:
    """One thing to check.

    Attributes:
        code: short name of the kind, for filters.
        severity: ``"check"`` if the result may be wrong, ``"note"`` if the patient or the image is
            unusual.
        vertebrae: names of those concerned; empty for the whole image.
        sentence: what was seen, and what to check.
    """

    code: str
    severity: Severity
    vertebrae: tuple[str, ...]
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "vertebrae": list(self.vertebrae)}


def listed(names: Sequence[str]) -> str:
    """``"T1"``, ``"T1 and T2"``, ``"T1, T2 and T3"``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
