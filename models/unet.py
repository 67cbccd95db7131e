"""The U-Net of all three stages (Payer et al., VISAPP 2020, section 2)."""

from __future__ import annotations

import keras
from keras import layers

from models.layers import UpsampleLinear
from models.presets import NetworkConfig


def build_unet(config: NetworkConfig, size: tuple[int | None, ...], name: str) -> keras.Model:
    """A U-Net from (batch, x, y, z, inputs) to (batch, x, y, z, outputs), float32.

    `size` is x, y, z; each a multiple of 2 ** (levels - 1).
    """
    image = keras.Input((*size, config.inputs), name="image", dtype="float32")
    features = unet_features(image, config)
    return keras.Model(image, linear_head(features, config, "head"), name=name)


def unet_features(node, config: NetworkConfig, prefix: str = ""):
    """Feature maps of the U-Net body; every level has one block down and one block up.

    Two 3x3x3 convolutions a block, also at the bottom (two blocks there); average pooling,
    trilinear up-sampling, skips by concatenation.
    """
    skips = []
    for level, filters in enumerate(config.filters):
        if level:
            node = layers.AveragePooling3D(2, name=f"{prefix}pool{level}")(node)
        node = _block(node, filters, config, f"{prefix}down{level}")
        skips.append(node)
    for level in reversed(range(len(config.filters))):
        if level < len(config.filters) - 1:
            node = UpsampleLinear(2, name=f"{prefix}upsample{level}")(node)
            node = layers.Concatenate(name=f"{prefix}skip{level}")([skips[level], node])
        node = _block(node, config.filters[level], config, f"{prefix}up{level}")
    return node


def linear_head(node, config: NetworkConfig, name: str):
    """A 3x3x3 linear convolution to the outputs, in float32."""
    return layers.Conv3D(
        config.outputs,
        3,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(stddev=config.head_sigma),
        dtype="float32",
        name=name,
    )(node)


def convolution(node, filters: int, kernel: int, config: NetworkConfig, name: str):
    """A zero-padded convolution, He-normal, followed by the (leaky) ReLU."""
    node = layers.Conv3D(
        filters, kernel, padding="same", kernel_initializer="he_normal", name=name
    )(node)
    return layers.LeakyReLU(negative_slope=config.negative_slope, name=f"{name}_relu")(node)


def _block(node, filters: int, config: NetworkConfig, name: str):
    node = convolution(node, filters, 3, config, f"{name}_conv0")
    if config.dropout:
        node = layers.Dropout(config.dropout, name=f"{name}_dropout")(node)
    return convolution(node, filters, 3, config, f"{name}_conv1")
