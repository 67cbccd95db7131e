"""The layers of the networks as operations of OpenVINO, for prediction without Keras.

`OpenVinoLayers` has what the builders of the networks call of `models.layers`, under the same names
and with the same arguments, so that each network is described once. Maps are (batch, channels, x,
y, z) inside the graph, as OpenVINO's convolutions take them; the graph's input and output are
(batch, x, y, z, channels), as in Keras.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.factory import build_network
from models.heads import activate
from models.matrices import blur_matrix, cubic_kernel, upsampling_matrix
from models.presets import Preset
from models.silent_openvino import ops, ov

_CHANNELS = 1
_SPATIAL = (2, 3, 4)

Weights = Mapping[str, Sequence[np.ndarray]]
"""Name of a layer -> its variables, in Keras' order and shapes."""


def openvino_network(preset: Preset, stage: str, weights: Weights) -> ov.Model:
    """The trained network of one stage and its activation, for one crop at a time.

    Args:
        preset: of the three networks.
        stage: ``spine``, ``vertebrae`` or ``segmentation``.
        weights: of every layer that has any, and no others.

    Returns:
        From (1, x, y, z, inputs) to maps (1, x, y, z, outputs) in about [0, 1], float32.

    Raises:
        ValueError: the weights are not those of this network.
    """
    layers = OpenVinoLayers(weights)
    output = build_network(preset, stage, layers=layers)
    return layers.finished(activate(output, getattr(preset, stage), layers), stage)


class OpenVinoLayers:
    """The layers, with trained weights; each is a function from node to node.

    Arguments that matter in training alone are ignored, and so are those of precision, which is
    chosen when the graph is compiled.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = dict(weights)
        self._inputs: list[ov.Node] = []

    # --- ends of the graph

    def Input(self, shape, name, dtype="float32"):
        """One crop of the (x, y, z, channels) of `shape`."""
        self._inputs.append(ops.parameter([1, *shape], np.float32, name))
        return ops.transpose(self._inputs[0], [0, 4, 1, 2, 3])

    def Model(self, image, output, name):
        """The output: the graph is known by it."""
        return output

    def finished(self, output, name: str) -> ov.Model:
        """The graph from the input to `output`.

        Raises:
            ValueError: weights were given that no layer has taken.
        """
        if self._weights:
            raise ValueError(f"weights of unknown layers: {', '.join(sorted(self._weights))}")
        return ov.Model([ops.transpose(output, [0, 2, 3, 4, 1])], self._inputs, name)

    # --- layers of Keras

    def Conv3D(self, filters, kernel_size, name, padding="same", **_):
        """A zero-padded convolution of odd width, with its bias."""

        def call(node):
            inputs = node.shape[_CHANNELS]
            kernel, bias = self._taken(name, (*[kernel_size] * 3, inputs, filters), (filters,))
            same = [kernel_size // 2] * 3
            ones = [1] * 3
            filters_first = _constant(kernel.transpose(4, 3, 0, 1, 2))
            convolved = ops.convolution(node, filters_first, ones, same, same, ones)
            return ops.add(convolved, _along_channels(bias))

        return call

    def GroupNormalization(self, groups, name, epsilon=1e-3):
        """Each group of channels with mean 0 and variance 1, then scaled and shifted."""

        def call(node):
            size = (node.shape[_CHANNELS],)
            scale, shift = self._taken(name, size, size)
            return ops.group_normalization(node, scale, shift, groups, epsilon)

        return call

    def RMSNormalization(self, name, epsilon=1e-6):
        """The channels of each voxel divided by their root mean square, then scaled."""

        def call(node):
            (scale,) = self._taken(name, (node.shape[_CHANNELS],))
            square = ops.reduce_mean(ops.multiply(node, node), [_CHANNELS], True)
            root = ops.sqrt(ops.add(square, _number(epsilon)))
            return ops.multiply(ops.divide(node, root), _along_channels(scale))

        return call

    def LeakyReLU(self, negative_slope, name):
        """Negative values multiplied by `negative_slope`."""
        if not negative_slope:
            return ops.relu
        return lambda node: ops.prelu(node, np.array([negative_slope], np.float32))

    def Dropout(self, rate, name):
        """Nothing is dropped in prediction."""
        return lambda node: node

    def AveragePooling3D(self, pool_size, name):
        """Means of blocks."""
        size = [pool_size] * 3
        return lambda node: ops.avg_pool(node, size, [0] * 3, [0] * 3, size, True)

    def MaxPooling3D(self, pool_size, name):
        """Maxima of blocks."""
        size = [pool_size] * 3
        return lambda node: ops.max_pool(node, size, [1] * 3, [0] * 3, [0] * 3, size).output(0)

    def Concatenate(self, name, dtype=None):
        """Channels of several maps, one after another."""
        return lambda nodes: ops.concat(nodes, _CHANNELS)

    def Multiply(self, name, dtype=None):
        """The product of two maps."""
        return lambda nodes: ops.multiply(*nodes)

    def Activation(self, activation, name, dtype=None):
        """A function of each value."""
        return {"tanh": ops.tanh}[activation]

    def Softmax(self, name, dtype=None):
        """Shares of the channels."""
        return self.softmax

    # --- layers of models.layers

    def UpsampleLinear(self, factor, name, dtype=None):
        """Trilinear up-sampling."""
        scales = np.full(3, factor, np.float32)
        return lambda node: ops.interpolate(node, scales, "linear_onnx", "scales", axes=_SPATIAL)

    def UpsampleCubic(self, factor, name, dtype=None):
        """Tricubic up-sampling."""

        def call(node):
            for axis in _SPATIAL:
                node = _product(
                    upsampling_matrix(cubic_kernel, 2, node.shape[axis], factor), node, axis
                )
            return node

        return call

    def Windows(self, windows, name, dtype=None):
        """The first channel through several windows, the others as they are."""

        def call(node):
            first = self.channels(node, 0, 1)
            seen = [
                ops.clamp(ops.divide(ops.subtract(first, _number(c)), _number(half)), -1.0, 1.0)
                for c, half in windows
            ]
            count = node.shape[_CHANNELS]
            others = [self.channels(node, 1, count)] if count > 1 else []
            return ops.concat([*seen, *others], _CHANNELS)

        return call

    def LocalContrast(self, sigma_px, name, floor=0.1, dtype=None):
        """Each channel minus its local mean, over its local standard deviation."""

        def blurred(node):
            for axis in _SPATIAL:
                node = _product(blur_matrix(node.shape[axis], sigma_px), node, axis)
            return node

        def call(node):
            offset = ops.subtract(node, blurred(node))
            deviation = ops.sqrt(blurred(ops.multiply(offset, offset)))
            return ops.divide(offset, ops.add(deviation, _number(floor)))

        return call

    # --- functions of models.layers

    def channels(self, node, start, stop):
        """Channels from `start` until `stop`."""
        stop = node.shape[_CHANNELS] if stop is None else stop
        return ops.slice(node, [start], [stop], [1], [_CHANNELS])

    def divide(self, node, values):
        """Each channel multiplied by its own number."""
        return ops.divide(node, _along_channels(np.asarray(values, np.float32)))

    def multiply(self, one, other):
        """The product of two maps."""
        return ops.multiply(one, other)

    def sigmoid(self, node):
        """The logistic function."""
        return ops.sigmoid(node)

    def softmax(self, node):
        """Shares of the channels."""
        return ops.softmax(node, _CHANNELS)

    def random_normal(self, stddev):
        """Initialisers matter only in training."""

    def constant(self, value):
        """Initialisers matter only in training."""

    # ---

    def _taken(self, name: str, *shapes: tuple[int, ...]) -> list[np.ndarray]:
        """The variables of a layer, which no other layer gets."""
        values = self._weights.pop(name, ())
        found = [value.shape for value in values]
        if found != list(shapes):
            raise ValueError(f"layer {name}: expected variables of {list(shapes)}, got {found}")
        return [np.asarray(value, np.float32) for value in values]


def _constant(values: np.ndarray) -> ov.Node:
    """Many numbers as a node; what is given to an operation as an array becomes a list before."""
    return ops.constant(np.ascontiguousarray(values))


def _number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def _along_channels(values: np.ndarray) -> np.ndarray:
    return values.reshape(1, -1, 1, 1, 1)


def _product(matrix: np.ndarray, node, axis: int):
    """`matrix` (m, n) along a spatial `axis` of size n."""
    shape = list(node.shape)
    last = int(np.prod(shape[axis + 1 :]))
    if last == 1:  # z
        return ops.matmul(node, _constant(matrix), False, True)
    flat = ops.reshape(node, [*shape[:axis], shape[axis], last], False)
    shape[axis] = len(matrix)
    return ops.reshape(ops.matmul(_constant(matrix), flat, False, False), shape, False)
