"""Presets by name or from a file, and one that learns in a minute on two cores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from models import PRESETS, Preset, StageConfig, preset_from_dict
from models.presets import VERTEBRA_CHANNELS
from vertseg.errors import ConfigurationError

_UNET = replace(PRESETS["default"].spine.network, filters=(8, 16, 16))

TOY = Preset(
    name="toy",
    spine=StageConfig(
        _UNET,
        (20, 20, 40),
        10.0,
        smoothing_sigma_mm=4.0,
        activation="sigmoid",
        sigma_px=1.5,
        threshold=0.3,
    ),
    vertebrae=StageConfig(
        replace(
            PRESETS["default"].vertebrae.network,
            filters=(8, 16, 32),
            spatial_filters=16,
            spatial_kernel=3,
        ),
        (16, 16, 40),
        6.0,
        smoothing_sigma_mm=2.4,
        activation="shared_softmax",
        sigma_px=1.25,
        overlap=20,
        labels=VERTEBRA_CHANNELS,
        threshold=0.05,
    ),
    segmentation=StageConfig(
        replace(_UNET, filters=(8, 16, 32), inputs=2),
        (44, 44, 28),
        2.5,
        smoothing_sigma_mm=1.0,
        activation="sigmoid",
        sigma_px=2.0,
        shift_posterior_mm=15.0,
    ),
)
"""Small networks on coarse grids, for phantoms of a part of the spine."""


def find_preset(name: str) -> Preset:
    """A preset by its name, or from a JSON file such as `models.preset_to_dict` makes.

    Raises:
        ConfigurationError: there is none of that name, or the file holds none.
    """
    known = PRESETS | {TOY.name: TOY}
    if name in known:
        return known[name]
    expected = f"{', '.join(known)}, or a JSON file"
    try:
        return preset_from_dict(json.loads(Path(name).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot be used: {error}", f"preset {name}", expected) from error
