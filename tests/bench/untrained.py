"""Networks with random weights, for what does not depend on them: seconds, memory and FLOP."""

from __future__ import annotations

from typing import Any

import numpy as np

from models import Preset, activate, build_network
from models.openvino_layers import OpenVinoLayers


class _RandomLayers(OpenVinoLayers):
    """Layers that take random variables of the shapes that they want."""

    def __init__(self) -> None:
        super().__init__({})
        self._rng = np.random.default_rng(0)

    def _taken(self, name: str, *shapes: tuple[int, ...]) -> list[np.ndarray]:
        return [self._rng.normal(0, 0.05, shape).astype(np.float32) for shape in shapes]


def untrained_graph(preset: Preset, stage: str) -> Any:
    """The network of a stage with its activation, as `models.openvino_layers` makes it."""
    layers = _RandomLayers()
    output = build_network(preset, stage, layers=layers)
    return layers.finished(activate(output, getattr(preset, stage), layers), stage)


def flop_of(preset: Preset, stage: str) -> float:
    """FLOP of one crop in the convolutions, which are nearly all: two a multiplication and sum."""
    total = 0.0
    for node in untrained_graph(preset, stage).get_ops():
        if node.get_type_name() == "Convolution":
            voxels = np.prod(node.get_output_shape(0)[2:])
            total += 2.0 * float(voxels) * float(np.prod(node.get_input_shape(1)))
    return total
