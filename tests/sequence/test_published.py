"""The published choice: by hand, at the ends, and against all sequences of small cases."""

from itertools import pairwise, product

import numpy as np
import pytest

from vertseg.geometry.centroid import Centroid
from vertseg.sequence.published import choose_sequence, follows, visible_range

LIMITS = (0.0, 400.0)


def place(label, z, score, x=0.0):
    return Centroid(label, (x, 0.0, z), score)


def column(first, last, top=380.0, step=30.0, score=0.9):
    return {
        label: [place(label, top - step * row, score)]
        for row, label in enumerate(range(first, last + 1))
    }


def test_a_plain_column_is_found():
    chain = choose_sequence(column(12, 20), LIMITS)
    assert [c.label for c in chain] == [*range(12, 21)]


def test_of_two_maxima_the_one_that_keeps_its_distance_counts():
    maxima = column(8, 12)
    wrong = place(10, 380.0 - 30.0, 0.95, x=5.0)  # at the place of 9, and higher
    maxima[10] = [wrong, *maxima[10]]
    assert [c.point_lps_mm[2] for c in choose_sequence(maxima, LIMITS)] == [380, 350, 320, 290, 260]


@pytest.mark.parametrize(
    ("step", "valid"),
    [((0, 0, -12.4), False), ((0, 0, -12.6), True), ((0, 0, -49.9), True), ((0, 0, -50.1), False),
     ((20, 0, 0), False), ((20, 0, 1), False), ((20, 0, -1), True)],
)  # fmt: skip
def test_neighbours_lie_12_5_to_50_mm_apart_and_never_upwards(step, valid):
    assert follows(Centroid(1, (0, 0, 0), 1.0), Centroid(2, step, 1.0)) is valid


def test_first_and_last_vertebra_are_those_at_the_ends():
    """Labels 3 and 4, seen nowhere near, are the longest run; the ends say 10 to 12."""
    maxima = column(10, 12, top=385.0, step=40.0) | {12: [place(12, 20.0, 0.8)]}
    maxima |= {label: [place(label, 200.0, 0.3)] for label in (3, 4, 5, 6)}
    assert visible_range(maxima, LIMITS) == (10, 12)
    del maxima[10], maxima[12]
    assert visible_range(maxima, LIMITS) == (3, 6)
    assert visible_range({}, LIMITS) == (1, 0) and choose_sequence({}, LIMITS) == []


def test_a_faint_channel_at_an_end_does_not_count():
    maxima = column(10, 14, top=300.0)
    maxima[2] = [place(2, 395.0, 0.49)]
    assert visible_range(maxima, LIMITS) == (10, 14)
    maxima[9] = [place(9, 395.0, 0.51)]
    assert visible_range(maxima, LIMITS) == (9, 14)


def test_ends_that_contradict_each_other_are_those_of_the_run():
    maxima = column(10, 12, top=385.0, step=180.0)
    maxima = {label: [place(label, m[0].point_lps_mm[2], 0.9)] for label, m in maxima.items()}
    maxima[12], maxima[10] = [place(12, 390.0, 0.9)], [place(10, 10.0, 0.9)]
    assert visible_range(maxima, LIMITS) == (10, 12)


def test_where_no_sequence_is_whole_the_best_part_remains():
    maxima = column(8, 15)
    maxima[11] = [place(11, 100.0, 0.9)]  # far below where it belongs
    chain = choose_sequence(maxima, LIMITS)
    assert [c.label for c in chain] == [12, 13, 14, 15]
    assert choose_sequence({7: [place(7, 200.0, 0.4)]}, LIMITS)[0].label == 7


def test_the_sum_is_the_largest_of_all_sequences():
    rng = np.random.default_rng(4)
    complete = 0
    for _ in range(60):
        labels = range(5, 9)
        maxima = {
            label: [
                place(label, 300.0 - 30 * (label - 5) + rng.normal(0, 14), s, rng.normal(0, 8))
                for s in sorted(rng.uniform(0.3, 1.0, 3), reverse=True)
            ]
            for label in labels
        }
        valid = [
            path
            for path in product(*(maxima[label] for label in labels))
            if all(follows(a, b) for a, b in pairwise(path))
        ]
        if not valid:
            continue
        complete += 1
        chain = choose_sequence(maxima, LIMITS)
        best = max(sum(c.score for c in path) for path in valid)
        assert sum(c.score for c in chain) == pytest.approx(best)
        assert all(follows(a, b) for a, b in pairwise(chain))
    assert complete > 20
