"""One factory from a preset to its networks."""

from __future__ import annotations

from typing import Any

from models.heads import keras_layers
from models.presets import Preset
from models.scnet import build_scnet
from models.unet import build_unet

_BUILDERS = {"unet": build_unet, "scnet": build_scnet}


def stage_names() -> tuple[str, str, str]:
    """The three stages in the order in which they run."""
    return ("spine", "vertebrae", "segmentation")


def build_network(
    preset: Preset, stage: str, size: tuple[int | None, ...] | None = None, layers: Any = None
) -> Any:
    """The untrained network of one stage, for the stage's grid or for another `size` (x, y, z).

    Args:
        preset: of the three networks.
        stage: ``spine``, ``vertebrae`` or ``segmentation``.
        size: x, y, z of what it sees; the stage's own if None.
        layers: what it is made of; those of Keras, `models.layers`, if None.

    Returns:
        What `layers.Model` makes: a `keras.Model`.

    Raises:
        ValueError: `stage` is not one of `stage_names()`.
    """
    if stage not in stage_names():
        raise ValueError(f"stage: expected one of {', '.join(stage_names())}, got {stage!r}")
    config = getattr(preset, stage)
    build = _BUILDERS[config.network.kind]
    layers = layers or keras_layers()
    return build(config.network, size or config.size, str(stage), layers)
