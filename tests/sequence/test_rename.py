"""Other names for the same vertebrae."""

from __future__ import annotations

import pytest

from vertseg.errors import ConfigurationError
from vertseg.labels import label_of, name_of
from vertseg.sequence.rename import renamed, shifted


def labels(text: str) -> list[int]:
    return [label_of(name) for name in text.split()]


def after(result: dict[int, int]) -> str:
    return " ".join(name_of(label) for label in result.values())


@pytest.mark.parametrize(
    ("before", "by", "first", "expected"),
    [
        ("T11 T12 L1 L2", -1, None, "T10 T11 T12 L1"),
        ("T11 T12 L1 L2", 1, None, "T12 L1 L2 L3"),
        ("C6 C7 T1", 1, None, "C7 T1 T2"),
        ("T12 T13 L1", 1, "T13", "T12 L1 L2"),
        ("T11 T12 T13 L1", -1, None, "T10 T11 T12 T13"),
        ("T10 T12 L1", -1, "T12", "T10 T11 T12"),
        ("T10 L1", 1, None, "T11 L2"),
    ],
)
def test_a_shift_keeps_gaps_and_order(before, by, first, expected) -> None:
    first = label_of(first) if first else None
    assert after(shifted(labels(before), by, first)) == expected


@pytest.mark.parametrize(
    ("before", "first", "new", "expected"),
    [
        ("T12 L1 L2 L3", "L1", "T13", "T12 T13 L1 L2"),
        ("T12 T13 L1 L2", "T13", "L1", "T12 L1 L2 L3"),
        ("L4 L5", "L5", "L6", "L4 L6"),
        ("T11 T12", "T11", "T12", "T12 L1"),
        ("T11 T12 L1", "T12", "T13", "T11 T13 L1"),
    ],
)
def test_those_below_a_new_name_follow_on(before, first, new, expected) -> None:
    assert after(renamed(labels(before), label_of(first), label_of(new))) == expected


@pytest.mark.parametrize(
    ("before", "by", "first", "text"),
    [
        ("C1 C2", -1, None, "beyond C1"),
        ("L5 L6", 1, None, "beyond"),
        ("T12 L1", -1, "L1", "T12 would lie below T12"),
        ("T12 L1", -2, "L1", "T11 would lie below T12"),
        ("T12 L1", 0, None, "changes nothing"),
        ("T12 L1", 1, "L3", "there is no L3"),
    ],
)
def test_names_that_cannot_be_are_refused(before, by, first, text) -> None:
    with pytest.raises(ConfigurationError, match=text):
        shifted(labels(before), by, label_of(first) if first else None)
