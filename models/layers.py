"""The layers that the networks are built of, in Keras: its own, and further ones.

The builders of the networks take their layers from this module, or from another object with the
same names, see `models.openvino_layers`.
"""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import Input, Model, ops
from keras.layers import (
    Activation,
    AveragePooling3D,
    Concatenate,
    Conv3D,
    Dropout,
    GroupNormalization,
    LeakyReLU,
    MaxPooling3D,
    Multiply,
    RMSNormalization,
    Softmax,
)

from models.matrices import blur_matrix, cubic_kernel, linear_kernel, upsampling_matrix

__all__ = [
    "Activation",
    "AveragePooling3D",
    "Concatenate",
    "Conv3D",
    "Dropout",
    "GroupNormalization",
    "Input",
    "LeakyReLU",
    "LocalContrast",
    "MaxPooling3D",
    "Model",
    "Multiply",
    "RMSNormalization",
    "Softmax",
    "UpsampleCubic",
    "UpsampleLinear",
    "Windows",
    "apply_matrix",
    "channels",
    "constant",
    "divide",
    "multiply",
    "random_normal",
    "sigmoid",
    "softmax",
]

multiply = ops.multiply
sigmoid = ops.sigmoid
softmax = ops.softmax
random_normal = keras.initializers.RandomNormal
constant = keras.initializers.Constant


def channels(node, start: int, stop: int | None):
    """Channels of a map from `start` until `stop`, or to the end."""
    return node[..., start:stop]


def divide(node, values):
    """Each channel of a map multiplied by its own number."""
    return node / np.asarray(values, np.float32)


def apply_matrix(matrix: np.ndarray, inputs, axis: int):
    """`matrix` (m, n) along `axis` (1, 2 or 3; size n) of (batch, x, y, z, channels)."""
    before, after = inputs.shape[1:axis], inputs.shape[axis + 1 :]
    flat = ops.reshape(inputs, (-1, matrix.shape[1], math.prod(after)))
    flat = ops.matmul(ops.cast(matrix, inputs.dtype), flat)
    return ops.reshape(flat, (-1, *before, matrix.shape[0], *after))


class _Upsample(keras.layers.Layer):
    """Base: enlarges x, y and z by `factor`, one matrix product per axis.

    The product is several times faster than shifted sums, above all in the backward pass.
    """

    kernel = staticmethod(linear_kernel)
    radius = 1

    def __init__(self, factor: int = 2, **kwargs) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        """From (batch, x, y, z, channels) to (batch, f x, f y, f z, channels)."""
        for axis in (1, 2, 3):
            inputs = self._enlarge(inputs, axis)
        return inputs

    def _enlarge(self, inputs, axis: int):
        matrix = upsampling_matrix(self.kernel, self.radius, inputs.shape[axis], self.factor)
        return apply_matrix(matrix, inputs, axis)

    def compute_output_shape(self, input_shape):
        """Shape of the enlarged map."""
        batch, *spatial, channels = input_shape
        return (batch, *(n * self.factor for n in spatial), channels)

    def get_config(self) -> dict:
        """Arguments of the constructor."""
        return {**super().get_config(), "factor": self.factor}


class UpsampleLinear(_Upsample):
    """Trilinear up-sampling by an integer factor."""


class UpsampleCubic(_Upsample):
    """Tricubic up-sampling (Keys kernel) by an integer factor."""

    kernel = staticmethod(cubic_kernel)
    radius = 2


class Windows(keras.layers.Layer):
    """The first channel through several windows, one channel each; the others as they are.

    Bone, discs and marrow fill a small part of the range of a CT; a window spreads it over [-1, 1].
    """

    def __init__(self, windows, **kwargs) -> None:
        super().__init__(**kwargs)
        self.windows = tuple((float(centre), float(half)) for centre, half in windows)

    def call(self, inputs):
        """From (..., channels) to (..., windows + channels - 1)."""
        first = inputs[..., :1]
        seen = [ops.clip((first - c) / half, -1.0, 1.0) for c, half in self.windows]
        return ops.concatenate([*seen, inputs[..., 1:]], axis=-1)

    def compute_output_shape(self, input_shape):
        """One channel per window instead of the first."""
        return (*input_shape[:-1], input_shape[-1] - 1 + len(self.windows))

    def get_config(self) -> dict:
        """Arguments of the constructor."""
        return {**super().get_config(), "windows": self.windows}


class LocalContrast(keras.layers.Layer):
    """Each channel minus its local mean, over its local standard deviation.

    The neighbourhood is a Gaussian of `sigma_px` voxels, zero outside. End plates and discs then
    differ as much as bone and air do, whatever the mineral content or the noise. `floor` is
    added to the deviation, so that noise in even tissue stays small.
    """

    def __init__(self, sigma_px: float, floor: float = 0.1, **kwargs) -> None:
        super().__init__(**kwargs)
        self.sigma_px, self.floor = sigma_px, floor

    def call(self, inputs):
        """Shape (batch, x, y, z, channels) in and out."""
        mean = self._blur(inputs)
        offset = inputs - mean
        return offset / (ops.sqrt(self._blur(offset * offset)) + self.floor)

    def _blur(self, node):
        for axis in (1, 2, 3):
            node = apply_matrix(blur_matrix(node.shape[axis], self.sigma_px), node, axis)
        return node

    def compute_output_shape(self, input_shape):
        """Shape of the input."""
        return input_shape

    def get_config(self) -> dict:
        """Arguments of the constructor."""
        return {**super().get_config(), "sigma_px": self.sigma_px, "floor": self.floor}
