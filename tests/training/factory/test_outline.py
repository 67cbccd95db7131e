"""The seen outline runs a quarter of a millimetre outside of the bone."""

import numpy as np
import pytest

from vertseg.training.factory.outline import OUTLINE_MM, outlined, seen_share

RADIUS_MM = 14.0


def places_mm(size: int, spacing_mm: float, centre) -> np.ndarray:
    """(3, x, y, z): where the voxels lie, in mm from `centre` (voxels)."""
    axes = np.meshgrid(*[np.arange(size)] * 3, indexing="ij")
    return (np.stack(axes) - np.reshape(centre, (3, 1, 1, 1))) * spacing_mm


def ball(size: int, spacing_mm: float, centre) -> np.ndarray:
    return np.linalg.norm(places_mm(size, spacing_mm, centre), axis=0) < RADIUS_MM


@pytest.mark.parametrize("spacing_mm", [0.8, 1.0, 1.25])
def test_the_outline_of_a_ball_lies_a_quarter_of_a_millimetre_outside(spacing_mm):
    size = int(40 / spacing_mm)
    bone = ball(size, spacing_mm, np.full(3, size / 2 + 0.2))
    step = np.full(3, 1 / 3)  # a grid three times as fine
    fine = (3 * (size - 1) + 1,) * 3
    mask = outlined(bone.astype(np.uint8), [1], spacing_mm, step, fine)
    volume = (mask == 1).sum() * (spacing_mm / 3) ** 3
    radius = (0.75 * volume / np.pi) ** (1 / 3)
    assert radius == pytest.approx(RADIUS_MM + OUTLINE_MM, abs=0.09)


def test_a_thin_plate_is_outlined_on_both_sides():
    def from_plate(size, spacing_mm, centre):
        return np.abs(np.tensordot([0.6, 0.64, 0.48], places_mm(size, spacing_mm, centre), 1))

    centre = np.array([20.3, 19.8, 20.1])
    bone = from_plate(40, 1.0, centre) < 0.75
    mask = outlined(bone.astype(np.uint8), [1], 1.0, np.full(3, 1 / 3), (118,) * 3)
    inner = (slice(30, -30),) * 3
    plate = from_plate(118, 1 / 3, 3 * centre) < 0.75
    thickness_mm = 1.5 * mask[inner].mean() / plate[inner].mean()
    assert thickness_mm == pytest.approx(1.5 + 2 * OUTLINE_MM, abs=0.25)


def test_of_two_outlines_the_voxel_belongs_to_the_deeper_one():
    labels = np.zeros((30, 20, 20), np.uint8)
    labels[4:15, 4:16, 4:16], labels[15:26, 4:16, 4:16] = 20, 21
    masks = outlined(labels, [20, 21], 1.0, np.ones(3), labels.shape)
    np.testing.assert_array_equal(masks[labels > 0], labels[labels > 0])
    alone = outlined(labels, [21], 1.0, np.ones(3), labels.shape)
    assert not (alone == 20).any()


def test_outlines_lie_where_the_scanner_has_its_slices():
    bone = ball(48, 1.0, (22.4, 25.1, 23.7))
    step, size = np.array([0.9, 1.15, 4.0]), (53, 41, 12)
    mask = outlined(bone.astype(np.uint8) * 7, [7, 9], 1.0, step, size)
    found = np.argwhere(mask == 7) * step
    np.testing.assert_allclose(found.mean(0), (22.4, 25.1, 23.7), atol=0.3)
    share = (mask == 7).sum() * step.prod() / bone.sum()
    assert share == pytest.approx((1 + OUTLINE_MM / RADIUS_MM) ** 3, abs=0.03)


def test_bone_at_the_border_and_none_at_all():
    bone = np.zeros((12, 12, 12), bool)
    assert not seen_share(bone, 1.0).any()
    bone[:6] = True
    share = seen_share(bone, 1.0)
    assert share[0].min() == 1.0 and share[-1].max() == 0.0
    masks = outlined(bone.astype(np.uint8), [1], 1.0, np.ones(3), (12, 12, 12))
    assert masks[:6].all() and not masks[7:].any()
