"""Golden numbers of the losses against plain numpy in double precision."""

import numpy as np
import pytest
from keras import ops

from vertseg.training import losses

SHAPE = (2, 4, 5, 6, 3)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def gaussians(rng) -> np.ndarray:
    """One Gaussian of arbitrary height a sample and channel."""
    axes = np.meshgrid(*(np.arange(n) for n in SHAPE[1:4]), indexing="ij")
    maps = np.zeros(SHAPE, np.float32)
    for sample in range(SHAPE[0]):
        for channel in range(SHAPE[4]):
            centre = rng.uniform(1, 3, size=3)
            squared = sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True))
            maps[sample, ..., channel] = rng.uniform(0.5, 5) * np.exp(-0.5 * squared)
    return maps


def crossentropy(logits, target) -> float:
    """KL divergence of one landmark's target from softmax over the voxels and "not here"."""
    exponentials = np.exp(logits.astype(float))
    probability = exponentials / (exponentials.sum() + 1)
    target = target.astype(float) / target.sum()
    return float((target * (np.log(target) - np.log(probability))).sum())


def not_here(logits) -> float:
    """Cross-entropy of the class "not here"."""
    return float(np.log(np.exp(logits.astype(float)).sum() + 1))


def loss_of(logits, maps, present, absent, **options) -> float:
    arrays = (np.asarray(a, np.float32) for a in (logits, maps, present, absent))
    return float(losses.null_softmax_crossentropy(*arrays, **options))


def test_null_softmax_crossentropy(rng):
    logits = rng.normal(scale=2, size=SHAPE).astype(np.float32)
    maps = gaussians(rng)
    present, absent = [[1, 0, 1], [0, 0, 1]], [[0, 1, 0], [0, 1, 0]]
    hits = [crossentropy(logits[s, ..., c], maps[s, ..., c]) for s, c in ((0, 0), (0, 2), (1, 2))]
    misses = [not_here(logits[s, ..., 1]) for s in (0, 1)]
    expected = (sum(hits) + 0.3 * sum(misses)) / (3 + 0.3 * 2)
    got = loss_of(logits, maps, present, absent, absent_weight=0.3)
    assert got == pytest.approx(expected, rel=1e-4)


def test_unknown_landmarks_do_not_count(rng):
    logits = rng.normal(size=SHAPE).astype(np.float32)
    maps = gaussians(rng)
    known, nothing = [[1, 0, 0]] * 2, [[0, 0, 0]] * 2
    before = loss_of(logits, maps, known, nothing)
    logits[..., 1:] += 100
    maps[..., 1:] = 0
    assert loss_of(logits, maps, known, nothing) == pytest.approx(before, rel=1e-5)
    assert loss_of(logits, maps, nothing, nothing) == 0


def test_null_softmax_crossentropy_vanishes_for_the_right_answer(rng):
    maps = gaussians(rng)
    ones, zeros = np.ones((2, 3)), np.zeros((2, 3))
    assert loss_of(np.log(maps) + 30, maps, ones, zeros) == pytest.approx(0, abs=1e-3)
    assert loss_of(np.full(SHAPE, -60.0), maps, zeros, ones) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("level", [-500.0, 0.0, 500.0])
def test_null_softmax_crossentropy_stays_finite(level, rng):
    maps = gaussians(rng)
    ones, zeros = np.ones((2, 3)), np.zeros((2, 3))
    voxels = np.prod(SHAPE[1:4])
    absent = loss_of(np.full(SHAPE, level), maps, zeros, ones)
    expected = np.logaddexp(0, level + np.log(voxels))
    assert absent == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert np.isfinite(loss_of(np.full(SHAPE, level), maps, ones, zeros))


def test_sigmoid_crossentropy(rng):
    logits = rng.normal(scale=3, size=(7, 8)).astype(np.float32)
    target = rng.uniform(size=(7, 8)).astype(np.float32)
    weight = rng.uniform(size=(7, 8)).astype(np.float32)
    p = 1 / (1 + np.exp(-logits.astype(float)))
    each = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    plain = float(losses.sigmoid_crossentropy(logits, target))
    assert plain == pytest.approx(each.mean(), rel=1e-5)
    weighted = float(losses.sigmoid_crossentropy(logits, target, weight))
    assert weighted == pytest.approx((each * weight).mean(), rel=1e-5)
    extreme = np.array([-1e4, 1e4], np.float32)
    assert float(losses.sigmoid_crossentropy(extreme, np.array([0, 1], np.float32))) == 0
    assert float(losses.sigmoid_crossentropy(extreme, np.array([1, 0], np.float32))) == 1e4


def test_soft_dice_loss(rng):
    logits = rng.normal(scale=3, size=(5, 6, 7)).astype(np.float32)
    target = (rng.uniform(size=(5, 6, 7)) > 0.7).astype(np.float32)
    p = 1 / (1 + np.exp(-logits.astype(float)))
    expected = 1 - (2 * (p * target).sum() + 1) / ((p**2).sum() + target.sum() + 1)
    assert float(losses.soft_dice_loss(logits, target)) == pytest.approx(expected, rel=1e-5)


def test_soft_dice_loss_at_its_ends():
    target = np.zeros((4, 4, 4), np.float32)
    target[1:3, 1:3, 1:3] = 1
    sure = np.where(target > 0, 50, -50).astype(np.float32)
    assert float(losses.soft_dice_loss(sure, target)) == pytest.approx(0, abs=1e-6)
    assert float(losses.soft_dice_loss(-sure, target)) == pytest.approx(1 - 1 / 65)
    nothing = np.zeros_like(target)
    assert float(losses.soft_dice_loss(np.full_like(sure, -50), nothing)) == pytest.approx(0)


def test_l2_heatmap_loss(rng):
    heatmaps, target = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    squares = ((heatmaps.astype(float) - target) ** 2).sum()
    expected = squares / 2 / (SHAPE[0] * SHAPE[4])
    assert float(losses.l2_heatmap_loss(heatmaps, target)) == pytest.approx(expected, rel=1e-5)


def test_losses_are_scalars(rng):
    logits = rng.normal(size=SHAPE).astype(np.float32)
    target = np.zeros(SHAPE, np.float32)
    ones = np.ones((2, 3), np.float32)
    for loss in (
        losses.null_softmax_crossentropy(logits, target, ones, ones),
        losses.sigmoid_crossentropy(logits, target),
        losses.soft_dice_loss(logits, target),
        losses.l2_heatmap_loss(logits, target),
    ):
        assert ops.convert_to_numpy(loss).shape == ()
