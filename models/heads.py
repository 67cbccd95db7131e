"""Turns a network's output into the map that a stage works with."""

from __future__ import annotations

from types import ModuleType

from models.presets import StageConfig


def activate(outputs, stage: StageConfig, layers=None):
    """Maps (batch, x, y, z, channels) in about [0, 1] from the outputs of a stage's network.

    `layers` are those that the network is made of, see `models.factory.build_network`.
    """
    layers = layers or keras_layers()
    if stage.activation == "sigmoid":
        return layers.sigmoid(outputs)
    if stage.activation == "shared_softmax":
        some = layers.sigmoid(layers.channels(outputs, 0, 1))
        return layers.multiply(some, layers.softmax(layers.channels(outputs, 1, None)))
    if stage.peaks:
        return layers.divide(outputs, stage.peaks)
    return outputs


def keras_layers() -> ModuleType:
    """`models.layers`: this is where Keras is imported, with the backend of its environment."""
    from models import layers

    return layers
