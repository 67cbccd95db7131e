"""SpatialConfiguration-Net (Payer et al., MedIA 2019; VISAPP 2020, section 3)."""

from __future__ import annotations

import math

from models.presets import NetworkConfig
from models.unet import convolution, linear_head, network_input, unet_features

TISSUE_HEAD = "tissue_head"
"""Layer whose output, logits of the classes of tissue, training asks for."""

_SPATIAL_CONVOLUTIONS = 3
_RARE = -6.0
"""Logit at which the shared appearance begins: few voxels are centres."""


def build_scnet(config: NetworkConfig, size: tuple[int | None, ...], name: str, layers):
    """SC-Net from (batch, x, y, z, inputs) to (batch, x, y, z, outputs), float32.

    A U-Net sees local appearance; at a lower resolution large convolutions see where the other
    landmarks are (spatial configuration). As published, the output is the product of one map of
    each per label. ``shared``: all vertebrae look alike from near, so the first output is one map
    of appearance for all labels, and the others the evidence for each label from the spatial
    configuration; their product is taken when they are made probabilities (`heads.activate`).
    With `NetworkConfig.tissues` the spatial configuration also sees which tissue is where.
    `layers`: `models.layers` or the like.
    """
    image, node = network_input(config, size, layers)
    if config.stem:
        node = convolution(node, config.filters[0], 3, config, layers, "stem")
    features = unet_features(node, config, layers, "local_")
    if config.combination == "shared":
        node = _shared(features, config, layers)
    else:
        local = linear_head(features[0], config, layers, "local_head", config.outputs)
        pooled = layers.AveragePooling3D(config.spatial_factor, name="spatial_pool")(local)
        spatial = _spatial_configuration(pooled, config, layers, config.outputs)
        spatial = layers.Activation("tanh", dtype="float32", name="spatial_tanh")(spatial)
        upsample = layers.UpsampleCubic(
            config.spatial_factor, dtype="float32", name="spatial_upsample"
        )
        spatial = upsample(spatial)
        node = layers.Multiply(dtype="float32", name="product")([local, spatial])
    return layers.Model(image, node, name=name)


def _shared(features, config: NetworkConfig, layers):
    """Appearance from the finest features; labels from the decoder's features at low resolution."""
    factor = config.spatial_factor
    local = linear_head(features[0], config, layers, "local_head", 1, bias=_RARE)
    level = int(math.log2(factor))
    pooled = layers.AveragePooling3D(factor, name="spatial_pool")(features[0])
    inputs = [features[level], pooled]
    if config.tissues:
        inputs.append(_tissues(features[0], config, layers))
    seen = layers.Concatenate(name="spatial_input")(inputs)
    spatial = _spatial_configuration(seen, config, layers, config.outputs - 1)
    spatial = layers.UpsampleCubic(factor, dtype="float32", name="spatial_upsample")(spatial)
    return layers.Concatenate(name="appearance_and_labels", dtype="float32")([local, spatial])


def _tissues(features, config: NetworkConfig, layers):
    """Where each class of tissue is, at low resolution; ``tissue_head`` gives its logits."""
    logits = linear_head(features, config, layers, TISSUE_HEAD, config.tissues, kernel=1)
    share = layers.Softmax(dtype="float32", name="tissue_share")(logits)
    return layers.MaxPooling3D(config.spatial_factor, name="tissue_pool")(share)


def _spatial_configuration(node, config: NetworkConfig, layers, outputs: int):
    """Large convolutions at the low resolution, down to one linear map per label."""
    for index in range(_SPATIAL_CONVOLUTIONS):
        node = convolution(
            node,
            config.spatial_filters,
            config.spatial_kernel,
            config,
            layers,
            f"spatial_conv{index}",
        )
    return linear_head(node, config, layers, "spatial_head", outputs, config.spatial_kernel)
