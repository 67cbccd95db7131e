"""Vertebrae that the heatmaps missed: where they are looked for, and what their masks must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.spine_simulation import mean_course
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Float32Array, FloatArray, Grid
from vertseg.io.image import Image
from vertseg.labels import label_of, name_of
from vertseg.sequence.doubts import NO_DOUBTS, Doubts
from vertseg.sequence.solve import FoundVertebra, SequenceResult
from vertseg.stages.missed import Missed, missed_in
from vertseg.stages.place_mask import PlaceMask
from vertseg.stages.reference_volumes import REFERENCE_VOLUME_ML
from vertseg.stages.rooms import Room, lacking, rooms_in
from vertseg.stages.second_look import Decision, SecondLook
from vertseg.stages.segmentation import Known
from vertseg.stages.vertebrae import Search

T10, L3, L5 = (label_of(name) for name in ("T10", "L3", "L5"))
LUMBAR = tuple(range(T10, L5 + 1))
NECK = tuple(range(1, 12))
NETWORK = SimpleNamespace(config=SimpleNamespace(threshold=0.5))


def ball(point: FloatArray, ml: float) -> tuple[Float32Array, Grid]:
    """Response of a ball of so many ml."""
    grid = Grid.axis_aligned(point, (32, 32, 32), 1.5)
    away = np.linalg.norm(
        grid.index_to_lps(np.moveaxis(np.indices(grid.size), 0, -1)) - point, axis=-1
    )
    radius = (ml * 1000 * 0.75 / np.pi) ** (1 / 3)
    return np.where(away < radius, 0.9, 0.1).astype(np.float32), grid


class Spine:
    """A spine of balls, as large as their levels, of which a network would show the nearest one.

    With `leans_mm` it shows the nearest to a point that lies so much higher.
    """

    def __init__(self, labels: tuple[int, ...], fill: float = 0.4, leans_mm: float = 0.0) -> None:
        self.leans = np.array([0.0, 0.0, leans_mm])
        self.centres = dict(zip(labels, mean_course(labels), strict=True))
        self.ml = {label: fill * REFERENCE_VOLUME_ML[label] for label in labels}
        self.asked: list[Centroid] = []

    def response(self, vertebra: Centroid) -> tuple[Float32Array, Grid] | None:
        self.asked.append(vertebra)
        away = {
            label: np.linalg.norm(centre - vertebra.point_lps_mm - self.leans)
            for label, centre in self.centres.items()
        }
        nearest = min(away, key=lambda label: away[label])
        return ball(self.centres[nearest], self.ml[nearest]) if away[nearest] < 20 else None

    def look(self, vertebra: Centroid) -> PlaceMask | None:
        found = self.response(vertebra)
        return found and PlaceMask.of(*found, 0.5)

    def chain(self, *labels: int, **moved: float) -> SequenceResult:
        """A chain with these labels at their places, some moved downwards by so many mm."""
        found = []
        for row, label in enumerate(labels):
            x, y, z = self.centres[label]
            place = (float(x), float(y), float(z - moved.get(name_of(label), 0.0)))
            found.append(FoundVertebra(label, place, 0.8, mass=0.8, margin=9.0, place=row))
        return SequenceResult(tuple(found))

    def masks(self, chain: SequenceResult) -> dict[int, PlaceMask]:
        masks = {v.place: self.look(v) for v in chain.vertebrae}
        self.asked.clear()
        return {place: mask for place, mask in masks.items() if mask}


def names(rooms: list[Room]) -> list[tuple[str, list[str], str]]:
    return [(r.upper.name, [name_of(label) for label in r.labels], r.lower.name) for r in rooms]


def test_there_is_room_where_levels_are_left_out() -> None:
    spine = Spine(LUMBAR)
    whole = spine.chain(*LUMBAR)
    assert not rooms_in(whole, NO_DOUBTS, {}) and not lacking(whole, NO_DOUBTS)
    gaps = spine.chain(17, 18, 19, 20, 21, 24)
    assert lacking(gaps, NO_DOUBTS) == 2
    assert names(rooms_in(gaps, NO_DOUBTS, {})) == [("L2", ["L3", "L4"], "L5")]


def test_an_absent_t12_is_no_gap_unless_the_step_is_wide() -> None:
    spine = Spine(LUMBAR)
    shown = [v for v in spine.chain(*LUMBAR).vertebrae if v.label != label_of("L1")]
    absent = {label_of("T12"): label_of("L1")}
    one_off = tuple(
        FoundVertebra(
            absent.get(v.label, v.label), v.point_lps_mm, 0.8, mass=0.8, margin=9.0, place=row
        )
        for row, v in enumerate(shown)
    )
    # T12 is called L1, and the true L1 is missing below it.
    rooms = rooms_in(SequenceResult(one_off), NO_DOUBTS, {})
    assert names(rooms) == [("L1", ["L2"], "L2")]
    without = Spine((17, 18, 20, 21, 22))
    assert not rooms_in(without.chain(17, 18, 20, 21, 22), NO_DOUBTS, {})


def test_beside_doubled_places_there_is_room_where_the_mask_leaves_some() -> None:
    """C4's place lies in the lower half of C3, and C5 follows at an almost usual distance."""
    spine = Spine(NECK, leans_mm=3.0)
    chain = spine.chain(1, 2, 3, 4, 5, 6, 7, C4=-6.5)
    masks = spine.masks(chain)
    assert not rooms_in(chain, NO_DOUBTS, masks)
    doubts = Doubts(frozenset({(2, 3)}))
    assert lacking(chain, doubts) == 1
    assert names(rooms_in(chain, doubts, masks)) == [("C4", ["C5"], "C5")]


def in_room(spine: Spine, chain: SequenceResult) -> list[Missed]:
    masks = spine.masks(chain)
    rooms = rooms_in(chain, NO_DOUBTS, masks)
    assert rooms
    return [found for room in rooms for found in missed_in(room, masks, spine.look)]


@pytest.mark.parametrize("missing", [(L3,), (19, 20), (20, 21, 22)])
def test_what_is_missing_is_found_in_the_middle_of_its_mask(missing) -> None:
    spine = Spine(LUMBAR)
    found = in_room(spine, spine.chain(*(label for label in LUMBAR if label not in missing)))
    assert [one.centroid.label for one in found] == list(missing)
    for one in found:
        away = np.subtract(one.centroid.point_lps_mm, spine.centres[one.centroid.label])
        assert np.linalg.norm(away) < 1.5


def lost(spine: Spine) -> None:
    del spine.centres[L3]


def crushed(spine: Spine) -> None:
    spine.ml[L3] *= 0.4


def merged(spine: Spine) -> None:
    spine.ml[L3] *= 2.2


def taken_for_a_neighbour(spine: Spine) -> None:
    spine.centres[L3] = spine.centres[L3 + 1]


@pytest.mark.parametrize("change", [lost, crushed, merged, taken_for_a_neighbour])
def test_a_mask_that_is_none_of_a_vertebra_is_not_taken(change: Callable[[Spine], None]) -> None:
    spine = Spine(LUMBAR)
    chain = spine.chain(*(label for label in LUMBAR if label != L3))
    change(spine)
    assert not in_room(spine, chain)


# Below: the whole second look, with the real solver.


def search_of(spine: Spine, claims: dict[int, tuple[float, FloatArray]]) -> Search:
    """A search whose heatmaps claim these labels, each with a height and a point."""
    points = np.array([point for _, point in claims.values()])
    scores = np.zeros((len(claims), 25))
    for row, (label, (height, _)) in enumerate(claims.items()):
        scores[row, label - 1] = height
    low, high = (f([*spine.centres.values()], axis=0) for f in (np.min, np.max))
    size = tuple(np.ceil((high - low + 160) / 8).astype(int).tolist())
    grid = Grid.axis_aligned((low + high) / 2, size, 8.0)
    hu = np.random.default_rng(0).integers(0, 90, size).astype(np.int16)
    image = Image.from_array(hu, grid.affine_ras)
    return Search(image, points, scores, tuple(range(1, 26)))


def claims_of(spine: Spine, **moved: float | None) -> dict[int, tuple[float, FloatArray]]:
    """Sure claims at the places of a spine, some moved downwards; None for those without any."""
    down = {name_of(label): 0.0 for label in spine.centres} | moved
    return {
        label: (0.8, centre - (0, 0, down[name_of(label)]))
        for label, centre in spine.centres.items()
        if down[name_of(label)] is not None
    }


def looked(
    spine: Spine, search: Search, monkeypatch: pytest.MonkeyPatch, known: Known | None = None
) -> tuple[SequenceResult, Decision]:
    """The chain of a search, and what the second look makes of it."""

    def responses(image, vertebrae, network, at_once=None) -> Iterator:
        for vertebra in vertebrae:
            if found := spine.response(vertebra):
                yield vertebra.label, *found

    def crop_of(vertebra: Centroid, config: object) -> Grid:
        return Grid.axis_aligned(vertebra.point_lps_mm, (32, 32, 32), 1.5)

    monkeypatch.setattr("vertseg.stages.segmentation.vertebra_responses", responses)
    monkeypatch.setattr("vertseg.stages.segmentation.crop_grid", crop_of)
    before = search.whole()
    look = SecondLook(search.image, search, before, NETWORK, known)  # type: ignore[arg-type]
    for vertebra in before.vertebrae:
        if found := spine.response(vertebra):
            look.add(vertebra.label, *found)
    spine.asked.clear()
    return before, look.decide()


def labels_of(chain: SequenceResult) -> list[int]:
    return [vertebra.label for vertebra in chain.vertebrae]


def test_a_whole_chain_costs_no_further_look(monkeypatch) -> None:
    spine = Spine(LUMBAR)
    before, decision = looked(spine, search_of(spine, claims_of(spine)), monkeypatch)
    assert labels_of(before) == list(LUMBAR)
    assert decision == Decision(before) and not spine.asked


@pytest.mark.parametrize("missing", [("L2",), ("T12", "L1"), ("T11",), ("L4",)])
def test_what_the_heatmaps_do_not_show_is_added(missing, monkeypatch) -> None:
    spine, known = Spine(LUMBAR), {}
    search = search_of(spine, claims_of(spine, **dict.fromkeys(missing)))
    before, decision = looked(spine, search, monkeypatch, known)
    assert labels_of(before) == [x for x in LUMBAR if name_of(x) not in missing]
    assert labels_of(decision.chain) == list(LUMBAR) and not decision.chain.gaps
    was = "was" if len(missing) == 1 else "were"
    assert decision.changes == f"second look by the masks: {', '.join(missing)} {was} added"
    points = {v.label: v.point_lps_mm for v in decision.chain.vertebrae}
    for name in missing:
        away = np.subtract(points[label_of(name)], spine.centres[label_of(name)])
        assert np.linalg.norm(away) < 1.5
        # The mask is made once: it is entered where stage 3 looks before it asks the network.
        assert points[label_of(name)] in {point for _, point in known}


def test_a_place_in_its_neighbour_gives_way_to_the_vertebra_below(monkeypatch) -> None:
    """C4 was shown in the lower half of C3: neither can be spared, and C4's own mask is lower."""
    spine = Spine(NECK, fill=0.25, leans_mm=3.0)
    search = search_of(spine, claims_of(spine, C4=-6.5))
    before, decision = looked(spine, search, monkeypatch)
    assert labels_of(before) == list(NECK) and labels_of(decision.chain) == list(NECK)
    places = {v.label: v.point_lps_mm for v in decision.chain.vertebrae}
    assert np.linalg.norm(np.subtract(places[4], spine.centres[4])) < 1.5
    assert not decision.doubled and "C4 was added" in decision.changes


def test_names_beyond_follow(monkeypatch) -> None:
    """C4 is missed, C3 and C5 are shown too close, and all from C5 on are called a level less."""
    spine = Spine(NECK)
    search = search_of(spine, claims_of(spine, C3=3.0, C4=None, C5=-3.5))
    scores = search.scores.copy()
    scores[3:] = np.roll(scores[3:], -1, axis=1)
    before, decision = looked(spine, replace(search, scores=scores), monkeypatch)
    assert labels_of(before) == list(NECK[:-1])
    assert labels_of(decision.chain) == list(NECK)
    assert "C4 was added" in decision.changes and "7 vertebrae were renamed" in decision.changes


def test_a_gap_stays_where_the_mask_is_no_vertebra(monkeypatch) -> None:
    spine = Spine(LUMBAR)
    search = search_of(spine, claims_of(spine, L3=None))
    crushed(spine)
    before, decision = looked(spine, search, monkeypatch)
    assert decision == Decision(before) and before.gaps == (L3,) and spine.asked


def test_a_second_gap_stays_where_only_the_first_is_filled(monkeypatch) -> None:
    spine = Spine(LUMBAR)
    search = search_of(spine, claims_of(spine, T12=None, L3=None))
    del spine.centres[L3]
    before, decision = looked(spine, search, monkeypatch)
    assert before.gaps == (label_of("T12"), L3) and decision.chain.gaps == (L3,)
    assert decision.changes == "second look by the masks: T12 was added"


def test_given_centroids_stay_as_they_are() -> None:
    given = Spine(LUMBAR).chain(*(label for label in LUMBAR if label != L3))
    look = SecondLook(None, None, given, NETWORK)  # type: ignore[arg-type]
    assert look.decide() == Decision(given)
