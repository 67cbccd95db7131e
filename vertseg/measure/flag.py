"""One thing to check in a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, name_of

Severity = Literal["check", "note"]


class FlagRow(TypedDict):
    """A flag in a report."""

    code: str
    severity: Severity
    vertebrae: list[str]
    sentence: str


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

    def as_dict(self) -> FlagRow:
        """For JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "vertebrae": list(self.vertebrae),
            "sentence": self.sentence,
        }


def listed(names: Sequence[str]) -> str:
    """``"T1"``, ``"T1 and T2"``, ``"C3, C5 and T1–T4"``: three in a row and more are a range.

    Args:
        names: of vertebrae, from the head downwards.
    """
    parts: list[str] = []
    for run in _runs(names):
        parts += run if len(run) < 3 else [f"{run[0]}–{run[-1]}"]
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _runs(names: Sequence[str]) -> list[list[str]]:
    """The names, cut where a level is left out; T13, which few people have, only if it is named."""
    order = [name_of(label) for label in ORDER_CRANIAL_TO_CAUDAL]
    place = {name: n for n, name in enumerate(n for n in order if n != "T13" or n in names)}
    runs: list[list[str]] = []
    for name in names:
        if runs and place[name] == place[runs[-1][-1]] + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    return runs
