"""SpatialConfiguration-Net (Payer et al., MedIA 2019; VISAPP 2020, section 3)."""

from __future__ import annotations

import keras
from keras import layers, ops

from models.layers import UpsampleCubic
from models.presets import NetworkConfig
from models.unet import convolution, linear_head, unet_features

_SPATIAL_CONVOLUTIONS = 3


def build_scnet(config: NetworkConfig, size: tuple[int | None, ...], name: str) -> keras.Model:
    """SC-Net from (batch, x, y, z, inputs) to (batch, x, y, z, outputs), float32.

    A U-Net gives local appearance maps; at a lower resolution large convolutions see where the
    other landmarks are (spatial configuration); the product of both is the output.
    """
    image = keras.Input((*size, config.inputs), name="image", dtype="float32")
    node = convolution(image, config.filters[0], 3, config, "stem") if config.stem else image
    local = linear_head(unet_features(node, config, "local_"), config, "local_head")
    spatial = _spatial_configuration(local, config)
    return keras.Model(image, _combine(local, spatial, config), name=name)


def _spatial_configuration(local, config: NetworkConfig):
    factor = config.spatial_factor
    node = layers.AveragePooling3D(factor, name="spatial_pool")(local)
    for index in range(_SPATIAL_CONVOLUTIONS):
        node = convolution(
            node, config.spatial_filters, config.spatial_kernel, config, f"spatial_conv{index}"
        )
    node = layers.Conv3D(
        config.outputs,
        config.spatial_kernel,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(stddev=config.head_sigma),
        dtype="float32",
        name="spatial_head",
    )(node)
    if config.combination == "product":
        node = layers.Activation("tanh", dtype="float32", name="spatial_tanh")(node)
    return UpsampleCubic(factor, dtype="float32", name="spatial_upsample")(node)


def _combine(local, spatial, config: NetworkConfig):
    if config.combination == "product":
        return layers.Multiply(dtype="float32", name="product")([local, spatial])
    return LogProduct(dtype="float32", name="log_product")([local, spatial])


class LogProduct(keras.layers.Layer):
    """log(exp(local) * sigmoid(spatial)): the product of appearance and gate, as logits.

    The sum trains from the first step, where the plain product of two maps near zero has no
    gradient; the gate keeps its meaning: a place that the configuration forbids is silenced.
    """

    def call(self, inputs):
        """Two maps (batch, x, y, z, channels) to one of the same shape."""
        local, spatial = inputs
        return local + ops.log_sigmoid(spatial)

    def compute_output_shape(self, input_shape):
        """Shape of either input."""
        return input_shape[0]
