"""The three networks, their layers and presets.

Keras is imported when the first network of its layers is built: prediction with OpenVINO does
without it.
"""

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
