"""Measures against hand-computed cases, analytic shapes, SimpleITK and scipy."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.distance import directed_hausdorff

from vertseg.evaluate.metrics import compare_masks, dice, identify, surface_distances

SPINE = {label: np.array([0.0, 0.0, -30.0 * label]) for label in (20, 21, 22)}


def moved(label: int, x: float = 0.0, z: float = 0.0) -> np.ndarray:
    return SPINE[label] + (x, 0, z)


def test_perfect_centroids() -> None:
    result = identify(SPINE, SPINE)
    assert result.identified == {20, 21, 22}
    assert result.rate == result.precision == 1
    assert set(result.distance_mm.values()) == {0.0}


def test_swapped_neighbours_are_both_wrong() -> None:
    result = identify(SPINE, {20: SPINE[21], 21: SPINE[20], 22: SPINE[22]})
    assert result.identified == {22}
    assert result.rate == pytest.approx(1 / 3)
    assert result.distance_mm == {20: 30.0, 21: 30.0, 22: 0.0}


def test_shift_by_one_level() -> None:
    result = identify(SPINE, {21: SPINE[20], 22: SPINE[21], 23: SPINE[22]})
    assert result.identified == frozenset()
    assert (result.rate, result.precision) == (0, 0)
    assert (result.missing, result.extra) == ({20}, {23})
    assert result.distance_mm == {21: 30.0, 22: 30.0}


def test_missing_and_invented() -> None:
    result = identify(SPINE, {20: SPINE[20], 21: SPINE[21], 24: moved(22, z=-60)})
    assert result.rate == pytest.approx(2 / 3)
    assert result.precision == pytest.approx(2 / 3)
    assert (result.missing, result.extra) == ({22}, {24})


def test_two_predictions_near_one_annotation() -> None:
    # The prediction for 21 lies 16 mm from its own annotation but 14 mm from that of 20.
    result = identify(SPINE, {20: SPINE[20], 21: moved(20, z=-14)})
    assert result.identified == {20}
    assert result.distance_mm[21] == 16.0
    # At 14 mm from its own it counts, however near the other prediction is.
    result = identify(SPINE, {20: moved(20, z=-13), 21: moved(20, z=-16)})
    assert result.identified == {20, 21}


def test_the_limit_is_20_mm_exclusive() -> None:
    assert identify(SPINE, {20: moved(20, x=19.99)}).identified == {20}
    result = identify(SPINE, {20: moved(20, x=20.0)})
    assert result.identified == frozenset()
    assert result.distance_mm == {20: 20.0}


def test_empty_sets_have_no_rate() -> None:
    nothing = identify({}, {})
    assert math.isnan(nothing.rate) and math.isnan(nothing.precision)
    assert identify(SPINE, {}).rate == 0
    assert math.isnan(identify(SPINE, {}).precision)
    assert identify({}, SPINE).precision == 0


def box(start: tuple[int, int, int], stop: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros((24, 24, 24), bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


def test_shifted_boxes() -> None:
    spacing = np.diag([1.0, 2.0, 0.5])
    first, second = box((4, 4, 4), (14, 14, 14)), box((6, 4, 4), (16, 14, 14))
    assert dice(first, second) == pytest.approx(0.8)
    there, back = surface_distances(first, second, spacing)
    assert there.max() == back.max() == 2.0
    overlap = compare_masks(first.astype(np.uint8), second.astype(np.uint8), spacing)[1]
    assert overlap.hausdorff_mm == 2.0
    assert overlap.hausdorff95_mm <= 2.0


def test_concentric_balls_and_a_spur() -> None:
    radius = np.linalg.norm(np.indices((41, 41, 41)) - 20.0, axis=0)
    small, large = (radius <= 10), (radius <= 15)
    there, back = surface_distances(small, large, np.eye(3))
    assert there.max() == pytest.approx(5, abs=0.8)
    assert back.mean() == pytest.approx(5, abs=0.3)
    spur = small.copy()
    spur[20, 20, 30:39] = True
    labels = small.astype(np.uint8), spur.astype(np.uint8)
    overlap = compare_masks(*labels, np.eye(3))[1]
    assert overlap.hausdorff_mm == pytest.approx(8)
    assert overlap.hausdorff95_mm == 0
    volume = 4 / 3 * np.pi
    expected = 2 * volume * 10**3 / (volume * 10**3 + volume * 15**3)
    assert dice(small, large) == pytest.approx(expected, rel=0.02)


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping convex ellipsoids."""
    rng = np.random.default_rng(seed)
    grid = np.indices((24, 24, 24)).transpose(1, 2, 3, 0)
    pair = []
    for _ in range(2):
        offset = (grid - rng.uniform(9, 14, 3)) / rng.uniform(4, 7, 3)
        pair.append((offset**2).sum(-1) <= 1)
    return pair[0], pair[1]


@pytest.mark.parametrize("seed", range(4))
def test_against_simpleitk_and_scipy(seed: int) -> None:
    first, second = blobs(seed)
    spacing = (0.8, 1.5, 2.5)
    images = []
    for mask in (first, second):
        image = sitk.GetImageFromArray(mask.astype(np.uint8).transpose(2, 1, 0))
        image.SetSpacing(spacing)
        images.append(image)
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(*images)
    assert dice(first, second) == pytest.approx(measures.GetDiceCoefficient())

    masks = first.astype(np.uint8), second.astype(np.uint8)
    overlap = compare_masks(*masks, np.diag(spacing))[1]
    assert overlap.dice == pytest.approx(measures.GetDiceCoefficient())
    surfaces = [sitk.BinaryContour(image, fullyConnected=False) for image in images]
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(*surfaces)
    assert overlap.hausdorff_mm == pytest.approx(hausdorff.GetHausdorffDistance())
    points = [np.argwhere(sitk.GetArrayFromImage(s).transpose(2, 1, 0)) * spacing for s in surfaces]
    both = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
    assert overlap.hausdorff_mm == pytest.approx(both)


def test_a_sheared_grid_is_measured_in_millimetres() -> None:
    shear = np.array([[1.0, 0, 0], [0, 1, 0.5], [0, 0, 2]])
    first, second = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)
    first[1, 1, 1] = second[1, 1, 2] = 3
    assert compare_masks(first, second, shear)[3].hausdorff_mm == pytest.approx(np.hypot(0.5, 2))


def test_labels_that_are_missing_or_invented() -> None:
    reference, prediction = np.zeros((8, 8, 8), np.uint8), np.zeros((8, 8, 8), np.uint8)
    reference[1:3, 1:3, 1:3] = 20
    reference[4:6, 4:6, 4:6] = 28
    prediction[1:3, 1:3, 1:3] = 20
    prediction[6:, 6:, 6:] = 21
    overlaps = compare_masks(reference, prediction, np.eye(3))
    assert overlaps.keys() == {20, 28}
    assert overlaps[20].dice == 1 and overlaps[20].hausdorff_mm == 0
    assert overlaps[28].dice == 0 and math.isnan(overlaps[28].hausdorff_mm)


def test_bad_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        compare_masks(np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int), np.eye(3))
    with pytest.raises(ValueError, match="integers"):
        compare_masks(np.zeros((2, 2, 2)), np.zeros((2, 2, 2), int), np.eye(3))
    with pytest.raises(ValueError, match="not empty"):
        surface_distances(np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool), np.eye(3))
