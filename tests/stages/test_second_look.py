"""The second look: masks of one vertebra found twice, of two, and small ones."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from vertseg.geometry.grid import Grid
from vertseg.sequence.doubts import Doubts
from vertseg.sequence.solve import FoundVertebra, Rival, SequenceResult
from vertseg.stages.mask_doubts import doubts_of
from vertseg.stages.place_mask import PlaceMask, shared_part
from vertseg.stages.reference_volumes import REFERENCE_VOLUME_ML
from vertseg.stages.second_look import (
    SecondLook,
    change_in_words,
    places_in_question,
    undetected,
)


def ball(z_mm: float, radius_mm: float = 10.0, spacing_mm: float = 1.0) -> PlaceMask:
    """A mask of a ball, on a grid of its own around it."""
    size = int(np.ceil(2 * radius_mm / spacing_mm)) + 9
    grid = Grid.axis_aligned((0.0, 0.0, z_mm), (size,) * 3, spacing_mm)
    points = grid.index_to_lps(np.moveaxis(np.indices(grid.size), 0, -1))
    inside = np.linalg.norm(points - (0, 0, z_mm), axis=-1) < radius_mm
    return PlaceMask.of(np.where(inside, 0.9, 0.1).astype(np.float32), grid, 0.5)


def chain(*labels: int, **changes) -> SequenceResult:
    found = (
        FoundVertebra(label, (0.0, 0.0, -20.0 * row), 0.8, mass=0.8, margin=9.0, place=row)
        for row, label in enumerate(labels)
    )
    return SequenceResult(tuple(found), margin=9.0, **changes)


def test_the_shared_part_is_that_of_the_smaller_mask_whatever_the_grids() -> None:
    assert shared_part(ball(0.0), ball(0.0, spacing_mm=1.3)) == pytest.approx(1.0, abs=0.08)
    assert shared_part(ball(0.0), ball(0.0, radius_mm=5.0)) == pytest.approx(1.0)
    assert shared_part(ball(0.0), ball(30.0)) == 0.0
    # Two balls whose centres are a radius apart share 5/16 of each.
    assert shared_part(ball(0.0), ball(10.0)) == pytest.approx(0.3125, abs=0.04)


def test_two_places_with_one_mask_are_one_vertebra() -> None:
    masks = {0: ball(0.0), 1: ball(-20.0), 2: ball(-22.0), 3: ball(-44.0)}
    assert doubts_of(chain(1, 2, 3, 4), masks) == Doubts(frozenset({(1, 2)}))


def test_c1_stays_where_its_mask_is_that_of_c2() -> None:
    masks = {0: ball(0.0), 1: ball(-2.0), 2: ball(-24.0)}
    assert shared_part(masks[0], masks[1]) > 0.8
    assert not doubts_of(chain(1, 2, 3), masks)
    assert doubts_of(chain(2, 3, 4), masks).same == {(0, 1)}


def test_a_small_mask_inside_the_chain_speaks_against_a_vertebra() -> None:
    masks = {0: ball(0.0), 1: ball(-24.0, 5.0), 2: ball(-48.0), 3: ball(-70.0, 5.0)}
    doubts = doubts_of(chain(20, 21, 22, 23), masks)
    assert doubts.same == frozenset() and set(doubts.against) == {1}  # the last may be cut
    assert not doubts_of(chain(20, 21), {0: ball(0.0), 1: ball(-24.0)})


def test_a_mask_is_small_for_its_level() -> None:
    # C2 is the largest of its neighbours, and the balls are as large as their levels.
    radii = [10.0 * (REFERENCE_VOLUME_ML[label] / 20.0) ** (1 / 3) for label in (1, 2, 3)]
    usual = {n: ball(-24.0 * n, radius) for n, radius in enumerate(radii)}
    assert not doubts_of(chain(1, 2, 3), usual)
    as_small_as_a_third = {**usual, 1: ball(-24.0, radii[1] * 0.7)}
    assert set(doubts_of(chain(1, 2, 3), as_small_as_a_third).against) == {1}


def test_neighbours_whose_masks_overlap_stay_two_vertebrae() -> None:
    """Low in a bent neck, at the border of a scan, a mask may take a part of the next vertebra."""
    masks = {0: ball(0.0), 1: ball(-8.5), 2: ball(-30.0)}
    assert 0.35 < shared_part(masks[0], masks[1]) < 0.45
    assert not doubts_of(chain(6, 7, 8), masks)


def test_masks_of_the_rival_are_wanted_only_where_it_is_near() -> None:
    rival = Rival({0: 21, 1: 22, 5: 23}, "")
    assert places_in_question(chain(20, 21, rival=rival), [0, 1]) == []
    near = chain(20, 21, rival=rival, level_shift_possible=True)
    assert places_in_question(near, [0, 1]) == [(5, 23)]


def test_changes_are_told() -> None:
    before = chain(1, 2, 3, 4).vertebrae
    assert change_in_words(before, before) == ""
    kept = [before[0], before[1]]
    moved = FoundVertebra(3, before[3].point_lps_mm, 0.8, mass=0.8, margin=9.0, place=3)
    text = change_in_words(before, [*kept, moved])
    assert "what was taken for C3 is not a separate vertebra" in text
    assert "1 vertebrae were renamed" in text


def test_levels_that_a_chain_lacks_are_counted() -> None:
    assert undetected(chain(5, 7, 8)) == {6}
    assert undetected(chain(18, 20, 21)) == {19}  # T12 is absent, or was not detected
    assert not undetected(chain(18, 19, 28, 20)) and not undetected(chain(19, 20))
    assert not undetected(chain(24, 25)) and not undetected(chain())


@pytest.mark.parametrize(("labels", "is_taken"), [((5, 7, 8), False), ((6, 7, 8), True)])
def test_a_wrong_mask_leaves_no_gap_in_the_chain(labels, is_taken) -> None:
    """What was found twice shifts the levels beside it; what would be missed was found once."""
    before, again = chain(5, 6, 7, 8), chain(*labels)
    search = SimpleNamespace(whole=lambda doubts: again)
    network = SimpleNamespace(config=SimpleNamespace(threshold=0.5))
    look = SecondLook(None, search, before, network)  # type: ignore[arg-type]
    for label, z_mm in ((5, 0.0), (6, -2.0), (7, -24.0), (8, -46.0)):
        mask = ball(z_mm)
        look.add(label, np.where(mask.voxels, 0.9, 0.1).astype(np.float32), mask.grid)
    decision = look.decide()
    assert decision.chain is (again if is_taken else before)
    assert bool(decision.changes) == is_taken
    assert decision.doubled == (() if is_taken else ((5, 6),))


@pytest.mark.parametrize("offers_another", [False, True])
def test_a_new_choice_is_looked_at_too(offers_another, monkeypatch) -> None:
    """In place of the second place it takes one whose mask is that of the first: no better.

    A further choice without doubts is taken; where only a gap is left, all stays as it was.
    """
    before = chain(5, 6, 7, 8)
    places = [0.0, -24.0, -25.0, -48.0, -2.0, -12.0]
    radii = [10.0, 10.0, 10.0, 10.0, 10.0, 6.0]

    def with_second(place: int) -> SequenceResult:
        first, second, *others = before.vertebrae
        return SequenceResult((first, replace(second, place=place), *others), margin=9.0)

    def whole(doubts: Doubts) -> SequenceResult:
        asked.append(doubts)
        if (0, 4) not in doubts.same:
            return with_second(4)
        return with_second(5) if offers_another else chain(5, 7, 8)

    def responses(image, vertebrae, network, at_once):
        for vertebra in vertebrae:
            mask = ball(vertebra.point_lps_mm[2], radii[places.index(vertebra.point_lps_mm[2])])
            yield vertebra.label, np.where(mask.voxels, 0.9, 0.1).astype(np.float32), mask.grid

    monkeypatch.setattr("vertseg.stages.segmentation.vertebra_responses", responses)
    asked: list[Doubts] = []
    search = SimpleNamespace(whole=whole, points_lps_mm=[(0.0, 0.0, z) for z in places])
    network = SimpleNamespace(config=SimpleNamespace(threshold=0.5))
    look = SecondLook(None, search, before, network)  # type: ignore[arg-type]
    for vertebra, z_mm in zip(before.vertebrae, places, strict=False):
        mask = ball(z_mm)
        response = np.where(mask.voxels, 0.9, 0.1).astype(np.float32)
        look.add(vertebra.label, response, mask.grid)
    decision = look.decide()
    assert asked[0].same == {(1, 2)} and (0, 4) in asked[1].same
    if offers_another:
        assert decision.chain.vertebrae[1].place == 5 and "added" in decision.changes
        assert not decision.doubled
    else:
        assert decision.chain is before and not decision.changes
        assert decision.doubled == ((6, 7),)


def test_given_centroids_of_one_vertebra_are_told() -> None:
    """They are kept as they are."""
    given = chain(5, 6, 7)
    network = SimpleNamespace(config=SimpleNamespace(threshold=0.5))
    look = SecondLook(None, None, given, network)  # type: ignore[arg-type]
    for label, z_mm in ((5, 0.0), (6, -22.0), (7, -24.0)):
        mask = ball(z_mm)
        look.add(label, np.where(mask.voxels, 0.9, 0.1).astype(np.float32), mask.grid)
    decision = look.decide()
    assert decision.chain is given and not decision.changes and decision.doubled == ((6, 7),)
