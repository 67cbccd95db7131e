"""Vertebrae at the ends of a scan."""

from dataclasses import replace

import numpy as np
import pytest

from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.sequence.solve import FoundVertebra, Rival, SequenceResult
from vertseg.stages.borders import without_cut, without_cut_masks


def chain(*heights: float) -> SequenceResult:
    vertebrae = tuple(
        FoundVertebra(8 + i, (0.0, 0.0, z), 0.9, mass=0.9, margin=5.0, place=i)
        for i, z in enumerate(heights)
    )
    return SequenceResult(vertebrae, warnings=())


def scan_on(affine_ras: np.ndarray) -> Image:
    hu = np.full((101, 101, 101), 40, np.int16)
    hu[0] = 50
    return Image.from_array(hu, affine_ras)


SCAN = scan_on(Grid.axis_aligned(np.zeros(3), (101, 101, 101), (1.0, 1.0, 1.0)).affine_ras)
"""From -50.5 to 50.5 mm along every axis."""


@pytest.mark.parametrize(
    ("heights", "kept"),
    [
        ((38, 14, -10, -34), [8, 9, 10, 11]),
        ((42, 18, -6, -30), [9, 10, 11]),
        ((42, 18, -6, -42), [9, 10]),
        ((41, 23, -1, -25), [9, 10, 11]),
        ((42, 18), [9]),
        ((49,), [8]),
        ((), []),
    ],
)
def test_only_whole_vertebrae_stay(heights, kept):
    result = without_cut(chain(*map(float, heights)), SCAN)
    assert [v.label for v in result.vertebrae] == kept
    assert len(result.left_out) == len(heights) - len(kept)
    assert bool(result.warnings) == (len(kept) < len(heights))


def test_a_level_that_was_missed_makes_no_body_twice_as_tall():
    """The last body ends 8 mm before the border; the step over a missed level is 48 mm."""
    found = chain(38.0, 14.0, -10.0, -31.0).vertebrae
    for kept in ((0, 1, 3), (0, 2, 3)):
        gap = SequenceResult(tuple(found[row] for row in kept), warnings=())
        assert without_cut(gap, SCAN).vertebrae == gap.vertebrae
    closer = replace(found[3], point_lps_mm=(0.0, 0.0, -43.0))
    assert without_cut(SequenceResult((found[0], found[1], closer)), SCAN).left_out == (11,)


def test_the_warning_names_them():
    both = without_cut(chain(42.0, 18.0, -6.0, -42.0), SCAN).warnings[0]
    assert both == "T1 and T4 left out: the border of the scan cuts them"
    one = without_cut(chain(42.0, 18.0, -6.0), SCAN).warnings[0]
    assert one == "T1 left out: the border of the scan cuts it"


def test_the_rival_is_told_in_vertebrae_that_are_reported():
    whole = replace(chain(42.0, 18.0, -6.0), rival=Rival({0: 9, 1: 10, 2: 11}, "T1–T3"))
    rival = without_cut(whole, SCAN).rival
    assert rival is not None
    assert rival.description == "the whole chain: T2–T3 may be T3–T4, one level lower"


def test_a_doubt_about_a_vertebra_that_is_cut_does_not_count():
    of_the_first = Rival({0: 7, 1: 9, 2: 10}, "T1 may be C7", 1.0)
    of_others = Rival({0: 9, 1: 10, 2: 11}, "T1–T3", 6.0)
    whole = replace(
        chain(42.0, 18.0, -6.0),
        margin=1.0,
        rival=of_the_first,
        level_shift_possible=True,
        further_rivals=(of_others,),
    )
    kept = without_cut(whole, SCAN)
    assert kept.margin == 6.0 and not kept.level_shift_possible
    assert kept.rival is not None and kept.rival.labels == of_others.labels
    assert (
        without_cut(replace(whole, vertebrae=chain(38.0, 14.0, -10.0).vertebrae), SCAN).margin == 1
    )


def test_the_border_is_that_of_the_scan_however_it_is_turned():
    angle = np.deg2rad(30)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn
    affine[:3, 3] = -turn @ np.full(3, 50.0)
    upright = chain(42.0, 18.0, -6.0, -42.0)
    turned = SequenceResult(
        tuple(replace(v, point_lps_mm=tuple(turn @ v.point_lps_mm)) for v in upright.vertebrae),
        warnings=(),
    )
    kept = without_cut(turned, scan_on(Grid((101, 101, 101), affine).affine_ras)).vertebrae
    assert [v.label for v in kept] == [9, 10]


@pytest.mark.parametrize("padding", [-1024, -992])
def test_padding_is_a_border_and_lung_is_none(padding):
    hu = np.array(SCAN.array)
    hu[:, :, 75:] = padding  # the body of the first reaches to index 99
    padded = Image.from_array(hu, SCAN.grid.affine_ras)
    assert without_cut(chain(38.0, 14.0, -10.0), padded).left_out == (8,)
    hu[:, :, 75:] = -870
    lung = Image.from_array(hu, SCAN.grid.affine_ras)
    assert without_cut(chain(38.0, 14.0, -10.0), lung).left_out == ()


def segmented(result: SequenceResult, reach_mm: float, on_border: int) -> np.ndarray:
    """Bodies of 20 x 20 mm; the last one reaches below the scan with `on_border` rows of 20."""
    labels = np.zeros(SCAN.grid.size, np.uint8)
    for v in result.vertebrae:
        i, j, k = np.rint(SCAN.grid.lps_to_index(v.point_lps_mm)).astype(int)
        box = np.zeros(labels.shape, bool)
        box[i - 10 : i + 10, j - 10 : j + 10, max(k - int(reach_mm), 0) : k + 10] = True
        box[i - 10 : i + 10, j - 10 + on_border : j + 10, :1] = False
        labels[box] = v.label
    return labels


@pytest.mark.parametrize(("on_border", "kept"), [(20, [8, 9]), (13, [8, 9]), (11, [8, 9, 10])])
def test_a_body_of_which_the_border_shows_most_is_left_out(on_border, kept):
    three = chain(10.0, -14.0, -38.0)
    labels = segmented(three, 13.0, on_border)
    before = labels.copy()
    result = without_cut_masks(three, labels, SCAN.grid)
    assert [v.label for v in result.vertebrae] == kept
    assert list(result.left_out) == [label for label in (8, 9, 10) if label not in kept]
    assert (labels == np.where(np.isin(before, kept), before, 0)).all()
    if len(kept) < 3:
        assert result.warnings == ("T3 left out: the border of the scan cuts it",)


def test_bodies_off_the_border_stay_and_so_does_one_alone():
    inside = chain(10.0, -14.0, -37.0)
    labels = segmented(inside, 10.0, 20)
    assert without_cut_masks(inside, labels, SCAN.grid) is inside
    alone = chain(-38.0)
    assert without_cut_masks(alone, segmented(alone, 13.0, 20), SCAN.grid) is alone
    assert without_cut_masks(chain(), np.zeros(SCAN.grid.size, np.uint8), SCAN.grid) == chain()
