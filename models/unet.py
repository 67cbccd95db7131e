"""The U-Net of all three stages (Payer et al., VISAPP 2020, section 2)."""

from __future__ import annotations

from models.presets import NetworkConfig

_GROUPS = 8
_FINE_LEVELS = 2


def build_unet(config: NetworkConfig, size: tuple[int | None, ...], name: str, layers):
    """A U-Net from (batch, x, y, z, inputs) to (batch, x, y, z, outputs), float32.

    `size` is x, y, z; each a multiple of 2 ** (levels - 1). `layers`: `models.layers` or the like.
    """
    image, node = network_input(config, size, layers)
    features = unet_features(node, config, layers)[0]
    output = linear_head(features, config, layers, "head", config.outputs)
    return layers.Model(image, output, name=name)


def network_input(config: NetworkConfig, size: tuple[int | None, ...], layers):
    """The input (batch, x, y, z, inputs), float32, and what the first convolution sees of it."""
    image = layers.Input((*size, config.inputs), name="image", dtype="float32")
    if not config.windows:
        return image, image
    seen = layers.Windows(config.windows, dtype="float32", name="windows")(image)
    if not config.local_contrast_px:
        return image, seen
    bone = layers.channels(seen, len(config.windows) - 1, len(config.windows))
    contrast = layers.LocalContrast(
        config.local_contrast_px, dtype="float32", name="local_contrast"
    )
    return image, layers.Concatenate(dtype="float32", name="seen")([seen, contrast(bone)])


def unet_features(node, config: NetworkConfig, layers, prefix: str = ""):
    """Feature maps of the U-Net body at every level, finest first.

    Every level has one block down and one block up, two 3x3x3 convolutions each, also at the
    bottom (two blocks there); average pooling, trilinear up-sampling, skips by concatenation.
    """
    skips, features = [], []
    for level, filters in enumerate(config.filters):
        if level:
            node = layers.AveragePooling3D(2, name=f"{prefix}pool{level}")(node)
        node = _block(node, filters, config, layers, f"{prefix}down{level}", level < _FINE_LEVELS)
        skips.append(node)
    for level in reversed(range(len(config.filters))):
        if level < len(config.filters) - 1:
            node = layers.UpsampleLinear(2, name=f"{prefix}upsample{level}")(node)
            node = layers.Concatenate(name=f"{prefix}skip{level}")([skips[level], node])
        name = f"{prefix}up{level}"
        node = _block(node, config.filters[level], config, layers, name, level < _FINE_LEVELS)
        features.append(node)
    return features[::-1]


def linear_head(
    node, config: NetworkConfig, layers, name: str, outputs: int, kernel: int = 3, bias: float = 0.0
):
    """A linear convolution to `outputs` maps, in float32; `bias` is where they begin."""
    return layers.Conv3D(
        outputs,
        kernel,
        padding="same",
        kernel_initializer=layers.random_normal(stddev=config.head_sigma),
        bias_initializer=layers.constant(bias),
        dtype="float32",
        name=name,
    )(node)


def convolution(
    node, filters: int, kernel: int, config: NetworkConfig, layers, name: str, fine: bool = False
):
    """A zero-padded convolution, He-normal, normalised on request, and the (leaky) ReLU."""
    node = layers.Conv3D(
        filters, kernel, padding="same", kernel_initializer="he_normal", name=name
    )(node)
    if config.normalization == "both":
        name_of_norm = f"{name}_norm"
        if fine:
            node = layers.RMSNormalization(epsilon=1e-2, name=name_of_norm)(node)
        else:
            node = layers.GroupNormalization(_GROUPS, name=name_of_norm)(node)
    return layers.LeakyReLU(negative_slope=config.negative_slope, name=f"{name}_relu")(node)


def _block(node, filters: int, config: NetworkConfig, layers, name: str, fine: bool):
    node = convolution(node, filters, 3, config, layers, f"{name}_conv0", fine)
    if config.dropout:
        node = layers.Dropout(config.dropout, name=f"{name}_dropout")(node)
    return convolution(node, filters, 3, config, layers, f"{name}_conv1", fine)
