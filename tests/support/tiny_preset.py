"""Networks that learn the scans of `small_spines` in some hundred steps."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from models import Preset, StageConfig, preset_to_dict
from vertseg.training.presets import TOY


def _smaller(config: StageConfig, shape: dict[str, Any], **changes: Any) -> StageConfig:
    network = dataclasses.replace(config.network, **shape)
    return dataclasses.replace(config, network=network, **changes)


TINY = Preset(
    name="tiny",
    spine=_smaller(TOY.spine, {"filters": (8, 8)}, size=(12, 12, 20)),
    vertebrae=_smaller(
        TOY.vertebrae, {"filters": (8, 8, 16), "spatial_filters": 8}, size=(16, 16, 32), overlap=16
    ),
    segmentation=_smaller(
        *(TOY.segmentation, {"filters": (8, 16)}),
        **{"size": (32, 32, 24), "spacing_mm": 3.0, "shift_posterior_mm": 12.0},
    ),
)


def write_preset(path: Path, preset: Preset = TINY) -> Path:
    """The file with a preset that commands take in place of a name."""
    path.write_text(json.dumps(preset_to_dict(preset)), encoding="utf-8")
    return path
