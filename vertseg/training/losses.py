"""Losses of the three stages; all take float32 logits and return a scalar."""

from __future__ import annotations

from keras import ops

_EPSILON = 1e-6


def null_softmax_crossentropy(logits, gaussians, present, absent, absent_weight: float = 0.5):
    """Cross-entropy of each landmark over all voxels and one class "not here".

    Args:
        logits: (batch, x, y, z, landmarks).
        gaussians: targets of the same shape; normalised here to sum 1.
        present, absent: 0/1 (batch, landmarks); a landmark with neither is ignored.
        absent_weight: weight of absent landmarks, which are many and easy.
    """
    axes = (1, 2, 3)
    peak = ops.maximum(ops.max(logits, axis=axes), 0.0)
    mass = ops.sum(ops.exp(logits - peak[:, None, None, None]), axis=axes)
    log_total = ops.log(mass + ops.exp(-peak)) + peak
    target = gaussians / (ops.sum(gaussians, axis=axes, keepdims=True) + _EPSILON)
    hit = log_total - ops.sum(target * logits, axis=axes)
    entropy = -ops.sum(target * ops.log(target + 1e-12), axis=axes)
    loss = present * (hit - entropy) + absent_weight * absent * log_total
    weight = present + absent_weight * absent
    return ops.sum(loss) / (ops.sum(weight) + _EPSILON)


def sigmoid_crossentropy(logits, target, weight=1.0):
    """Mean binary cross-entropy of logits against targets in [0, 1], times `weight`."""
    loss = ops.maximum(logits, 0.0) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.mean(loss * weight)


def soft_dice_loss(logits, target):
    """1 - soft Dice of the batch, foreground only (Milletari et al., 3DV 2016)."""
    p = ops.sigmoid(logits)
    overlap = 2.0 * ops.sum(p * target) + 1.0
    return 1.0 - overlap / (ops.sum(p * p) + ops.sum(target * target) + 1.0)


def l2_heatmap_loss(heatmaps, target):
    """Squared error summed over voxels, averaged over batch and channels, halved (paper, eq. 1)."""
    return 0.5 * ops.mean(ops.sum((heatmaps - target) ** 2, axis=(1, 2, 3)))
