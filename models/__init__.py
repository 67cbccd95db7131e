"""The three networks, their layers and presets, written on Keras 3 with ``keras.ops`` only."""

from models.factory import build_network, stage_names
from models.heads import activate
from models.presets import (
    PRESETS,
    NetworkConfig,
    Preset,
    StageConfig,
    preset_from_dict,
    preset_to_dict,
)

__all__ = [
    "PRESETS",
    "NetworkConfig",
    "Preset",
    "StageConfig",
    "activate",
    "build_network",
    "preset_from_dict",
    "preset_to_dict",
    "stage_names",
]
