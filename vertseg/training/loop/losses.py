"""Losses of the three stages, scalars of what a network says."""

from __future__ import annotations

import numpy as np
from keras import ops

_EPSILON = 1e-6
_SHIFTS = (-2, -1, 0, 1, 2)
_IMPOSSIBLE = -7.0
"""Log likelihood of a label that is not there."""


def heatmap_crossentropy(logits, target, weight):
    """Binary cross-entropy against Gaussians in [0, 1], per unit of their mass.

    Sums over voxels; the entropy of the target is taken off, so that the best value is 0. A
    volume without landmarks counts as if it had one.

    Args:
        logits, target, weight: the same shape; `weight` is 0 where nothing is known.
    """
    loss = sigmoid_crossentropies(logits, target)
    best = sigmoid_crossentropies(ops.log(target + _EPSILON) - ops.log1p(_EPSILON - target), target)
    mass = ops.sum(target * weight)
    return ops.sum((loss - best) * weight) / ops.maximum(mass, 16.0)


def label_crossentropy(logits, known):
    """Mean cross-entropy of labels at their landmarks.

    Args:
        logits: (landmarks, points, labels) evidence at points around each landmark, whose label is
            its row.
        known: 0/1 (landmarks,); the others are ignored.
    """
    total = ops.logsumexp(logits, axis=-1)
    own = ops.einsum("ipi->ip", logits)
    loss = ops.mean(total - own, axis=-1)
    return ops.sum(known * loss) / ops.maximum(ops.sum(known), 1.0)


def shift_crossentropy(logits, known, chain, share: float):
    """Cross-entropy of the right chain of labels against the same chain some levels off.

    The labels of a scan are chosen together (`vertseg.sequence.solve`), where evidence of all
    vertebrae adds up. Alone they learn what each looks like; together, which of them can tell
    the level: a rib less or more at the end of the ribs decides for all others.

    Args:
        logits, known: as for `label_crossentropy`.
        chain: rows that follow each other, cranial to caudal; int (levels,).
        share: of each vertebra's evidence that counts; neighbours err together.
    """
    total = ops.logsumexp(logits, axis=-1, keepdims=True)
    evidence = ops.maximum(ops.mean(logits - total, axis=1), _IMPOSSIBLE)
    levels, sums = len(chain), []
    evidence = ops.take(ops.take(evidence, chain, axis=0), chain, axis=1)
    known = ops.take(known, chain, axis=0)
    for shift in _SHIFTS:
        there = np.eye(levels, k=shift, dtype=np.float32)
        missing = _IMPOSSIBLE * (1.0 - there.sum(1))
        sums.append(ops.sum(known * (ops.sum(evidence * there, axis=1) + missing)))
    sums = share * ops.stack(sums)
    return ops.logsumexp(sums) - sums[_SHIFTS.index(0)]


def balanced_crossentropy(logits, classes):
    """Cross-entropy of voxel classes, averaged over the voxels of each class, then over classes.

    Args:
        logits: (..., classes).
        classes: int (...,); voxels of class -1 are ignored, and classes without a voxel.
    """
    count = logits.shape[-1]
    chosen = ops.one_hot(classes, count, dtype="float32")
    loss = ops.logsumexp(logits, axis=-1) - ops.sum(chosen * logits, axis=-1)
    axes = tuple(range(len(classes.shape)))
    voxels = ops.sum(chosen, axis=axes)
    means = ops.sum(chosen * loss[..., None], axis=axes) / ops.maximum(voxels, 1.0)
    return ops.sum(means) / ops.maximum(ops.sum(ops.cast(voxels > 0, "float32")), 1.0)


def sigmoid_crossentropies(logits, target):
    """Binary cross-entropy of logits against targets in [0, 1], at every voxel."""
    return ops.maximum(logits, 0.0) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))


def sigmoid_crossentropy(logits, target, weight=1.0):
    """Mean binary cross-entropy of logits against targets in [0, 1], times `weight`."""
    return ops.mean(sigmoid_crossentropies(logits, target) * weight)


def soft_dice_loss(logits, target):
    """1 - soft Dice of the batch, foreground only (Milletari et al., 3DV 2016)."""
    p = ops.sigmoid(logits)
    overlap = 2.0 * ops.sum(p * target) + 1.0
    return 1.0 - overlap / (ops.sum(p * p) + ops.sum(target * target) + 1.0)
