"""Golden numbers of the losses against plain numpy in double precision."""

import numpy as np
import pytest
from keras import ops

from vertseg.training.loop import losses

SHAPE = (2, 4, 5, 6, 3)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def cross_entropy(logits, target):
    p = 1 / (1 + np.exp(-logits.astype(float)))
    return -(target * np.log(p) + (1 - target) * np.log(1 - p))


def test_heatmap_crossentropy(rng):
    logits = rng.normal(scale=2, size=(6, 7, 8)).astype(np.float32)
    target = rng.uniform(0.1, 0.9, size=(6, 7, 8)).astype(np.float32)
    weight = (rng.uniform(size=(6, 7, 8)) > 0.3).astype(np.float32)
    best = np.log(target.astype(float) / (1 - target.astype(float)))
    divergence = cross_entropy(logits, target) - cross_entropy(best, target)
    expected = (divergence * weight).sum() / (target * weight).sum()
    got = float(losses.heatmap_crossentropy(logits, target, weight))
    assert got == pytest.approx(expected, rel=1e-4)


def test_heatmap_crossentropy_at_its_ends():
    target = np.zeros((5, 5, 5), np.float32)
    target[2, 2, 2] = 1
    ones = np.ones_like(target)
    sure = np.where(target > 0, 40, -40).astype(np.float32)
    assert float(losses.heatmap_crossentropy(sure, target, ones)) == pytest.approx(0, abs=1e-4)
    empty = float(losses.heatmap_crossentropy(np.zeros_like(sure), 0 * target, ones))
    assert empty == pytest.approx(125 * np.log(2) / 16, rel=1e-4)
    assert float(losses.heatmap_crossentropy(-sure, target, 0 * ones)) == 0


def test_balanced_crossentropy(rng):
    logits = rng.normal(size=(5, 4, 3)).astype(np.float32)
    classes = rng.integers(-1, 2, (5, 4))
    exact = logits.astype(float)
    share = np.exp(exact) / np.exp(exact).sum(-1, keepdims=True)
    means = [-np.log(share[classes == k][:, k]).mean() for k in (0, 1)]
    got = float(losses.balanced_crossentropy(logits, classes.astype(np.int32)))
    assert got == pytest.approx(np.mean(means), rel=1e-5)
    assert float(losses.balanced_crossentropy(logits, np.full((5, 4), -1, np.int32))) == 0


def test_label_crossentropy(rng):
    logits = rng.normal(scale=2, size=(3, 4, 3)).astype(np.float32)
    known = np.array([1, 0, 1], np.float32)
    exact = logits.astype(float)
    share = np.exp(exact) / np.exp(exact).sum(-1, keepdims=True)
    each = [-np.log(share[i, :, i]).mean() for i in range(3)]
    got = float(losses.label_crossentropy(logits, known))
    assert got == pytest.approx((each[0] + each[2]) / 2, rel=1e-5)
    assert float(losses.label_crossentropy(logits, 0 * known)) == 0


def test_shift_crossentropy(rng):
    """Labels 0, 1, 2 and 3 of five follow each other; 4 stands aside."""
    logits = rng.normal(scale=2, size=(5, 7, 5)).astype(np.float32)
    known = np.array([1, 0, 1, 1, 1], np.float32)
    exact = logits.astype(float)
    evidence = (exact - np.log(np.exp(exact).sum(-1, keepdims=True))).mean(1).clip(-7)
    sums = []
    for shift in (-2, -1, 0, 1, 2):
        places = [(row, row + shift) for row in (0, 2, 3)]
        sums.append(sum(evidence[r, c] if 0 <= c <= 3 else -7.0 for r, c in places))
    sums = 0.3 * np.array(sums)
    expected = np.log(np.exp(sums).sum()) - sums[2]
    got = float(losses.shift_crossentropy(logits, known, [0, 1, 2, 3], 0.3))
    assert got == pytest.approx(expected, rel=1e-5)
    nothing = float(losses.shift_crossentropy(logits, 0 * known, [0, 1, 2, 3], 0.3))
    assert nothing == pytest.approx(np.log(5), rel=1e-6)


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


def test_losses_are_scalars(rng):
    logits = rng.normal(size=SHAPE).astype(np.float32)
    target = np.zeros(SHAPE, np.float32)
    for loss in (
        losses.heatmap_crossentropy(logits, target, target),
        losses.label_crossentropy(logits[0, 0, :3], target[0, 0, 0, 0]),
        losses.sigmoid_crossentropy(logits, target),
        losses.soft_dice_loss(logits, target),
    ):
        assert ops.convert_to_numpy(loss).shape == ()
