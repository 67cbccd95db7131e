"""Landmarks in a chain, and the margin from which its levels count as sure."""

from dataclasses import replace

import pytest

from vertseg.labels import label_of
from vertseg.sequence.anchors import shows_landmark, sure_margin
from vertseg.sequence.config import SequenceConfig
from vertseg.sequence.solve import FoundVertebra, Rival, SequenceResult, with_vertebrae


def labels_between(first: str, last: str) -> range:
    return range(label_of(first), label_of(last) + 1)


@pytest.mark.parametrize(
    ("first", "last", "landmark", "margin"),
    [
        ("C2", "C7", True, 3.0),
        ("C7", "T4", True, 3.0),
        ("T12", "L5", True, 3.0),
        ("T9", "L2", True, 5.0),
        ("T4", "T9", False, 5.0),
        ("L1", "L3", False, 5.0),
    ],
)
def test_the_last_rib_alone_asks_for_a_larger_margin(first, last, landmark, margin) -> None:
    labels = labels_between(first, last)
    assert shows_landmark(labels) == landmark
    assert sure_margin(labels) == margin


def test_the_margins_are_tunables() -> None:
    config = replace(SequenceConfig(), shift_margin=1.0, last_rib_shift_margin=2.0)
    assert [sure_margin([label], config) for label in (label_of("C1"), label_of("T9"))] == [1, 2]


def test_a_chain_that_loses_its_landmark_at_the_border_is_judged_anew() -> None:
    found = tuple(
        FoundVertebra(label, (0.0, 0.0, -20.0 * row), 0.8, mass=0.8, margin=4.0, place=row)
        for row, label in enumerate(labels_between("T9", "L5"))
    )
    rival = Rival({v.place: v.label - 1 for v in found}, "", 4.0)
    whole = SequenceResult(found, margin=4.0, rival=rival)
    assert not with_vertebrae(whole, found).level_shift_possible
    assert with_vertebrae(whole, found[:-1]).level_shift_possible


@pytest.mark.parametrize(
    ("margin", "is_variant", "open_"),
    [(2.9, False, True), (3.5, False, False), (3.5, True, True), (4.1, True, False)],
)
def test_a_near_variant_leaves_the_count_open_whatever_landmark_is_in_view(
    margin, is_variant, open_
) -> None:
    found = tuple(
        FoundVertebra(label, (0.0, 0.0, -20.0 * row), 0.8, mass=0.8, margin=margin, place=row)
        for row, label in enumerate(labels_between("T1", "L5"))
    )
    rival = Rival({v.place: v.label - 1 for v in found[:8]}, "", margin, is_variant)
    kept = with_vertebrae(SequenceResult(found, margin=margin, rival=rival), found[1:])
    assert kept.level_shift_possible == open_
