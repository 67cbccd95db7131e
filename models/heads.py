"""From a network's output to the map that a stage works with."""

from __future__ import annotations

import math

import numpy as np
from keras import ops

from models.layers import apply_matrix
from models.presets import StageConfig


def gaussian_peak(sigma_px: float) -> float:
    """Largest value of a 3-D Gaussian with standard deviation `sigma_px` and integral 1."""
    return (2.0 * math.pi) ** -1.5 * sigma_px**-3


def activate(outputs, stage: StageConfig):
    """Maps (batch, x, y, z, channels) in about [0, 1] from the outputs of a stage's network."""
    if stage.activation == "sigmoid":
        return ops.sigmoid(outputs)
    if stage.activation == "null_softmax":
        heatmap = gather(null_softmax(outputs), stage.gather_px)
        sigma_px = math.hypot(stage.sigma_px, stage.gather_px)
        return ops.minimum(heatmap / gaussian_peak(sigma_px), 1.0)
    return outputs


def gather(heatmap, sigma_px: float):
    """Gaussian smoothing of maps (batch, x, y, z, channels), zero outside; none for sigma 0."""
    if not sigma_px:
        return heatmap
    for axis in (1, 2, 3):
        index = np.arange(heatmap.shape[axis])
        matrix = np.exp(-0.5 * ((index[:, None] - index[None, :]) / sigma_px) ** 2)
        matrix = (matrix / (math.sqrt(2.0 * math.pi) * sigma_px)).astype(np.float32)
        heatmap = apply_matrix(matrix, heatmap, axis)
    return heatmap


def null_softmax(logits):
    """Softmax over all voxels of each channel and one further class of logit 0, "not here".

    Shape (batch, x, y, z, channels) in and out; the voxels of a channel sum to the probability
    that its landmark lies in the tile.
    """
    peak = ops.maximum(ops.max(logits, axis=(1, 2, 3), keepdims=True), 0.0)
    mass = ops.exp(logits - peak)
    total = ops.sum(mass, axis=(1, 2, 3), keepdims=True) + ops.exp(-peak)
    return mass / total
