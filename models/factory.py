"""One factory from a preset to its networks."""

from __future__ import annotations

import keras

from models.presets import Preset
from models.scnet import build_scnet
from models.unet import build_unet

_BUILDERS = {"unet": build_unet, "scnet": build_scnet}


def stage_names() -> tuple[str, str, str]:
    """The three stages in the order in which they run."""
    return ("spine", "vertebrae", "segmentation")


def build_network(
    preset: Preset, stage: str, size: tuple[int | None, ...] | None = None
) -> keras.Model:
    """The untrained network of one stage, for the stage's grid or for another `size` (x, y, z).

    Raises:
        ValueError: `stage` is not one of `stage_names()`.
    """
    if stage not in stage_names():
        raise ValueError(f"stage: expected one of {', '.join(stage_names())}, got {stage!r}")
    config = getattr(preset, stage)
    build = _BUILDERS[config.network.kind]
    return build(config.network, size or config.size, str(stage))
