"""The sequence solver: anatomy cases with known answers."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.spine_simulation import CHANNELS, mean_course
from vertseg.labels import label_of, name_of
from vertseg.sequence.config import SequenceConfig
from vertseg.sequence.doubts import Doubts
from vertseg.sequence.graph import Inside
from vertseg.sequence.solve import Numbering, SequenceResult, solve_sequence


def labels_between(first: str, last: str) -> list[int]:
    """Regular labels from one name to another."""
    return list(range(label_of(first), label_of(last) + 1))


def claims(labels: Sequence[int], height: float = 0.8) -> np.ndarray:
    """(n, channels) scores of a network that claims these labels."""
    scores = np.zeros((len(labels), CHANNELS))
    scores[np.arange(len(labels)), np.array(labels) - 1] = height
    return scores


def between(low: float, high: float) -> Inside:
    """An image that ends at these heights."""
    return lambda points: (points[:, 2] > low) & (points[:, 2] < high)


def found_labels(result: SequenceResult) -> list[int]:
    return [vertebra.label for vertebra in result.vertebrae]


def names(result: SequenceResult) -> str:
    return " ".join(vertebra.name for vertebra in result.vertebrae)


def test_a_sure_network_is_believed_whatever_the_order_of_the_places() -> None:
    labels = labels_between("C1", "L5")
    points, scores = mean_course(labels), claims(labels)
    mixed = np.random.default_rng(0).permutation(len(labels))
    result = solve_sequence(points[mixed], scores[mixed])
    assert found_labels(result) == labels
    assert [mixed[vertebra.place] for vertebra in result.vertebrae] == list(range(len(labels)))
    np.testing.assert_allclose([v.point_lps_mm for v in result.vertebrae], points)
    assert all(vertebra.score == 0.8 for vertebra in result.vertebrae)
    assert not result.level_shift_possible
    assert result.gaps == () and result.warnings == ()


@pytest.mark.parametrize("wrong", ["T4", "T7", "L2", "T1"])
@pytest.mark.parametrize("by", [-2, -1, 1, 2])
def test_a_single_wrong_label_is_put_right(wrong: str, by: int) -> None:
    labels = labels_between("T1", "L5")
    said = [label + by * (label == label_of(wrong)) for label in labels]
    assert found_labels(solve_sequence(mean_course(labels), claims(said))) == labels


@pytest.mark.parametrize("by", [-1, 1])
def test_a_run_that_is_shifted_is_put_right(by: int) -> None:
    labels = labels_between("C7", "L5")
    said = [label + by * (label_of("T4") <= label <= label_of("T9")) for label in labels]
    result = solve_sequence(mean_course(labels), claims(said))
    assert found_labels(result) == labels
    assert result.margin > 0


def test_mass_shared_with_the_next_level_is_summed_over_the_chain() -> None:
    labels = labels_between("T5", "T11")
    scores = claims(labels, 0.35) + claims([label + 1 for label in labels], 0.3)
    result = solve_sequence(mean_course(labels), scores)
    assert found_labels(result) == labels
    assert result.level_shift_possible
    assert result.rival is not None
    assert list(result.rival.labels.values()) == [label + 1 for label in labels]
    assert "the whole chain: T5–T11 may be T6–T12, one level lower" in result.rival.description


def test_an_undetected_vertebra_is_a_gap_and_not_made_up() -> None:
    labels = labels_between("T1", "L5")
    for missing in ("T6", "L2"):
        keep = np.array(labels) != label_of(missing)
        result = solve_sequence(mean_course(labels)[keep], claims(labels)[keep])
        assert found_labels(result) == [n for n in labels if n != label_of(missing)]
        assert result.gaps == (label_of(missing),)
        assert any(f"{missing} not detected" in warning for warning in result.warnings)


@pytest.mark.parametrize("count", [2, 3])
def test_a_run_of_undetected_vertebrae_is_bridged(count: int) -> None:
    labels = labels_between("T1", "L3")
    missing = labels_between("T6", "T8")[:count]
    keep = ~np.isin(labels, missing)
    result = solve_sequence(mean_course(labels)[keep], claims(labels)[keep])
    assert found_labels(result) == [label for label in labels if label not in missing]
    assert result.gaps == tuple(missing)


def test_two_predictions_of_one_vertebra_are_one() -> None:
    labels = labels_between("T10", "L4")
    points = np.concatenate([mean_course(labels), mean_course(labels)[3:4] + (3, 4, -9)])
    scores = np.concatenate([claims(labels), claims(labels[3:4], 0.5)])
    assert found_labels(solve_sequence(points, scores)) == labels


def test_numbering_variants() -> None:
    t13 = [*labels_between("T8", "T12"), label_of("T13"), *labels_between("L1", "L5")]
    scores = claims([19 if label == 28 else label for label in t13], 0.7)
    scores[5] = 0.5 * claims([19]) + 0.5 * claims([20])
    result = solve_sequence(mean_course(t13), scores, numbering=Numbering.ANY)
    assert found_labels(result) == t13
    assert "numbering variant: T13 follows T12" in result.warnings

    l6 = labels_between("T10", "L6")
    assert found_labels(solve_sequence(mean_course(l6), claims(l6))) == l6

    no_t12 = [*labels_between("T6", "T11"), *labels_between("L1", "L5")]
    result = solve_sequence(mean_course(no_t12), claims(no_t12))
    assert found_labels(result) == no_t12
    assert result.gaps == ()

    four_lumbar = labels_between("T9", "L4")
    result = solve_sequence(mean_course(four_lumbar), claims(four_lumbar), inside=between(-500, 20))
    assert found_labels(result) == four_lumbar


def test_where_the_count_stays_open_the_usual_numbering_is_written() -> None:
    """T10 to L5, of which the network names the upper ones a level too high and is unsure below."""
    labels = labels_between("T10", "L5")
    variant = [*labels_between("T9", "T11"), *labels_between("L1", "L5")]
    scores = claims(variant, 0.8)
    for row, (name, height) in enumerate({"T12": 0.78, "L1": 0.69, "L2": 0.55}.items(), start=3):
        scores[row, label_of(name) - 1] = height
    scores[3, label_of("L1") - 1] = 0.38
    scores[4, label_of("L2") - 1] = 0.66
    points = mean_course(labels)
    inside = between(points[-1, 2] - 200, points[0, 2] + 15)
    free = solve_sequence(points, scores, inside=inside, numbering=Numbering.ANY)
    assert found_labels(free) == variant and 0 < free.margin < 4
    written = solve_sequence(points, scores, inside=inside)
    assert found_labels(written) == labels
    assert written.rival is not None and list(written.rival.labels.values()) == variant
    assert written.margin == pytest.approx(written.score - free.score) and written.margin < 0
    assert written.level_shift_possible and written.rival.is_variant
    forbidden = solve_sequence(points, scores, inside=inside, numbering=Numbering.USUAL)
    assert found_labels(forbidden) == labels
    assert forbidden.rival is not None and list(forbidden.rival.labels.values()) != variant
    assert not forbidden.rival.is_variant


@pytest.mark.parametrize("numbering", Numbering)
def test_a_clear_variant_is_written_unless_it_is_forbidden(numbering: Numbering) -> None:
    labels = [*labels_between("T6", "T11"), *labels_between("L1", "L5")]
    found = found_labels(solve_sequence(mean_course(labels), claims(labels), numbering=numbering))
    assert (found == labels) == (numbering != Numbering.USUAL)


@pytest.mark.parametrize("below_mm", [9, 10])
def test_a_vertebra_that_is_found_twice_is_doubted(below_mm: int) -> None:
    """A tall C2, whose body the network calls C3, and the next one C4."""
    labels = labels_between("C1", "T2")
    points = mean_course(labels)
    points = np.insert(points, 2, points[1] + (0, 1, -below_mm), axis=0)
    scores = claims([1, 2, *range(3, 10), 9])
    assert solve_sequence(points, scores).level_shift_possible


def test_a_vertebra_with_two_places_and_one_mask_shifts_nothing() -> None:
    labels = labels_between("C1", "T2")
    points = mean_course(labels)
    points = np.insert(points, 2, points[1] + (0, 1, -10), axis=0)
    scores = claims([1, 2, *range(3, 10), 9])
    result = solve_sequence(points, scores, doubts=Doubts(frozenset({(1, 2)})))
    named = {vertebra.place: vertebra.label for vertebra in result.vertebrae}
    assert [named[place] for place in range(3, 10)] == labels[2:]
    assert len({1, 2} & {*named}) == 1


def test_doubts_keep_one_of_two_places() -> None:
    labels = labels_between("T10", "L3")
    points, scores = mean_course(labels), claims(labels, 0.6)
    doubted = solve_sequence(points, scores, doubts=Doubts(frozenset({(2, 3)})))
    assert len({vertebra.place for vertebra in doubted.vertebrae} & {2, 3}) == 1
    against = solve_sequence(points, scores, doubts=Doubts(against={3: 30.0}))
    assert 3 not in {vertebra.place for vertebra in against.vertebrae}


def test_a_run_of_miscounts_is_one_error() -> None:
    """Thoracic vertebrae all named a level too high, over a lumbar spine that ends at its L5."""
    labels = labels_between("T8", "L5")
    said = [label - (label < 19) for label in labels]
    points = mean_course(labels)
    inside = between(points[-1, 2] - 90, points[0, 2] + 15)
    result = solve_sequence(points, claims(said), inside=inside)
    assert found_labels(result) == labels


def test_a_channel_for_t13_is_used() -> None:
    labels = [*labels_between("T10", "T12"), label_of("T13"), *labels_between("L1", "L3")]
    channels = [*range(1, 25), 28]
    scores = np.zeros((len(labels), len(channels)))
    for row, label in enumerate(labels):
        scores[row, channels.index(label)] = 0.8
    assert found_labels(solve_sequence(mean_course(labels), scores, channels)) == labels


@pytest.mark.parametrize(
    ("first", "last"), [("L3", "L3"), ("C1", "C2"), ("T6", "T9"), ("L4", "L5")]
)
def test_partial_spines(first: str, last: str) -> None:
    labels = labels_between(first, last)
    assert found_labels(solve_sequence(mean_course(labels), claims(labels))) == labels


@pytest.mark.parametrize(("scale", "tilt_deg"), [(0.8, 0), (1.2, 10), (1.0, 40), (0.95, -35)])
def test_small_large_and_tilted_bodies(scale: float, tilt_deg: float) -> None:
    labels = labels_between("T1", "L5")
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    points = scale * mean_course(labels) @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    result = solve_sequence(points, claims(labels))
    assert found_labels(result) == labels
    assert result.scale == pytest.approx(scale, abs=0.06)


def test_no_evidence_gives_nothing() -> None:
    nothing = solve_sequence(np.zeros((0, 3)), np.zeros((0, CHANNELS)))
    assert nothing.vertebrae == () and nothing.rival is None
    assert nothing.warnings == ("no spine was found",)
    rng = np.random.default_rng(1)
    for _ in range(10):
        scores = np.zeros((12, CHANNELS))
        scores[np.arange(12), rng.integers(0, CHANNELS, 12)] = rng.uniform(0.05, 0.3, 12)
        assert solve_sequence(rng.uniform(-200, 200, (12, 3)), scores).vertebrae == ()


def test_false_alarms_outside_the_spine_are_left_out() -> None:
    labels = labels_between("T8", "L5")
    points, scores = mean_course(labels), claims(labels, 0.6)
    away = points[[0, 4, 9]] + [(90, -40, -5), (-70, 30, 8), (30, 80, -40)]
    said = claims([label_of("T7"), label_of("T12"), label_of("L6")], 0.28)
    result = solve_sequence(np.concatenate([points, away]), np.concatenate([scores, said]))
    assert found_labels(result) == labels


def test_faint_ends_are_left_out() -> None:
    labels = labels_between("T9", "L6")
    scores = claims([*labels[:-1], label_of("L5")])
    scores[[0, -1]] *= 0.3
    result = solve_sequence(mean_course(labels), scores)
    assert names(result) == "T10 T11 T12 L1 L2 L3 L4 L5"


def test_a_well_detected_place_is_not_skipped_for_its_wrong_label() -> None:
    labels = labels_between("T5", "L5")
    said = list(labels)
    said[6] = label_of("C4")
    assert found_labels(solve_sequence(mean_course(labels), claims(said))) == labels


def test_the_chain_never_runs_upwards() -> None:
    labels = labels_between("T10", "L4")
    upside_down = mean_course(labels) * (1, 1, -1)
    result = solve_sequence(upside_down, claims(labels))
    heights = [vertebra.point_lps_mm[2] for vertebra in result.vertebrae]
    assert heights == sorted(heights, reverse=True)
    assert not result.vertebrae or result.level_shift_possible


@pytest.mark.parametrize("ends", [("C2", "T5"), ("T3", "L2"), ("L1", "L5"), ("L2", "L4")])
@pytest.mark.parametrize("limits", [False, True])
def test_a_spine_that_is_upside_down_is_told(ends: tuple[str, str], limits: bool) -> None:
    labels = labels_between(*ends)
    for sign in (1, -1):
        points = mean_course(labels) * (1, 1, sign)
        extent = between(points[:, 2].min() - 15, points[:, 2].max() + 15) if limits else None
        result = solve_sequence(points, claims(labels), inside=extent)
        assert result.upside_down_possible == (sign < 0)
        assert any("upside down" in text for text in result.warnings) == (sign < 0)


def test_half_of_the_labels_upside_down_is_told() -> None:
    """A network names a mirrored lumbar spine partly by what is around it."""
    labels = labels_between("T12", "L5")
    scores = 0.5 * claims(labels) + 0.5 * claims(labels[::-1])
    assert solve_sequence(mean_course(labels), scores).upside_down_possible


# What the networks said of cylinders of 400 HU in water: height in mm, label and score.
CYLINDERS = {
    25: "287 T11 72 T10 30, 253 T12 38, 225 L1 17, 198 L4 25, 176 L4 18 L2 13, 151 L4 22, "
    "129 L4 23, 82 L4 27, 46 L5 12, 37 L4 25, 10 L5 53 L4 19 L6 7 T7 5",
    15: "391 T8 10 T3 7, 348 T11 11, 298 T8 10 L4 9, 153 T9 22, 127 T10 16, 110 L4 22 T8 7 T11 7, "
    "84 L5 43 T9 14 T11 8, 58 L3 10 T10 9, 45 T11 7, 32 L4 25, 8 L5 32 L4 20",
}


def cylinder(text: str) -> tuple[np.ndarray, np.ndarray]:
    places = [place.split() for place in text.split(",")]
    scores = np.zeros((len(places), CHANNELS))
    for row, (_, *said) in enumerate(places):
        for name, percent in zip(said[::2], said[1::2], strict=True):
            scores[row, label_of(name) - 1] = float(percent) / 100
    return np.array([(0.0, 0.0, float(place[0])) for place in places]), scores


@pytest.mark.parametrize("radius_mm", CYLINDERS)
def test_a_cylinder_of_bone_is_no_spine(radius_mm: int) -> None:
    points, scores = cylinder(CYLINDERS[radius_mm])
    limits = between(points[:, 2].min() - 10, points[:, 2].max() + 10)
    assert solve_sequence(points, scores, inside=limits).vertebrae == ()
    trusting = SequenceConfig(minimum_presence=0)
    assert solve_sequence(points, scores, inside=limits, config=trusting).vertebrae


def test_weak_evidence_that_agrees_is_a_spine() -> None:
    labels = labels_between("T11", "L1")
    result = solve_sequence(mean_course(labels), claims(labels, 0.4))
    assert found_labels(result) == labels


def test_neighbours_keep_the_hard_limits() -> None:
    far = np.array([[0, 0, 0], [0, 0, -54.0]])
    near = np.array([[0, 0, 0], [0, 0, -9.0]])
    for points in (far, near):
        result = solve_sequence(points, claims([20, 21]), config=SequenceConfig(maximum_skipped=0))
        assert len(result.vertebrae) == 1


def test_the_extent_of_the_image_tells_where_a_spine_should_end() -> None:
    labels = labels_between("L1", "L5")
    scores = claims(labels, 0.35) + claims([label - 1 for label in labels], 0.35)
    points = mean_course(labels)
    roomy = solve_sequence(points, scores, inside=between(points[-1, 2] - 150, points[0, 2] + 25))
    assert found_labels(roomy) == labels


@pytest.mark.parametrize(
    ("points", "scores", "channels", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 25)), None, "shape"),
        (np.zeros((2, 3)), np.full((2, 25), np.nan), None, "finite"),
        (np.zeros((1, 3)), np.zeros((1, 2)), [1, 1], "different"),
        (np.zeros((1, 3)), np.zeros((1, 2)), [1, 26], "labels of vertebrae"),
    ],
)
def test_bad_input_is_refused(
    points: np.ndarray, scores: np.ndarray, channels: list[int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        solve_sequence(points, scores, channels)


def test_bad_tunables_are_refused() -> None:
    with pytest.raises(ValueError, match="maximum_skipped"):
        SequenceConfig(maximum_skipped=6)
    with pytest.raises(ValueError, match="start_cost"):
        SequenceConfig(start_cost=-1)


def test_names_and_labels_agree() -> None:
    labels = labels_between("L1", "L3")
    result = solve_sequence(mean_course(labels), claims(labels))
    assert names(result) == " ".join(name_of(label) for label in labels)
