"""From a network's output to the map that a stage works with."""

from __future__ import annotations

import numpy as np
from keras import ops

from models.presets import StageConfig


def activate(outputs, stage: StageConfig):
    """Maps (batch, x, y, z, channels) in about [0, 1] from the outputs of a stage's network."""
    if stage.activation == "sigmoid":
        return ops.sigmoid(outputs)
    if stage.activation == "shared_softmax":
        return ops.sigmoid(outputs[..., :1]) * ops.softmax(outputs[..., 1:], axis=-1)
    if stage.peaks:
        return outputs / np.asarray(stage.peaks, np.float32)
    return outputs
