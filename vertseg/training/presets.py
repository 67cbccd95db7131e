"""Presets by name or from a file, and two small ones that learn phantoms on two cores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from models import PRESETS, NetworkConfig, Preset, StageConfig, preset_from_dict
from models.presets import VERTEBRA_CHANNELS, VERTEBRA_CHANNELS_PAPER
from models.published import SEGMENTATION, SPINE, VERTEBRAE, PublishedMethod
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


def _small(method: PublishedMethod, **changes: Any) -> PublishedMethod:
    """A published method for small grids: a few voxels, degrees and hundred steps."""
    return replace(
        method,
        optimizer="adam",
        translation_voxels=3.0,
        rotation_deg=6.0,
        scale=0.08,
        elastic_voxels=1.0,
        gain=0.1,
        shift=0.02,
        **changes,
    )


SMALL_PAPER = Preset(
    name="small_paper",
    spine=StageConfig(
        NetworkConfig("unet", (8, 8)),
        (16, 16, 24),
        10.0,
        smoothing_sigma_mm=4.0,
        sigma_px=2.0,
        threshold=0.1,
        published=_small(SPINE, rate=3e-3, steps=50, weight_decay=1e-5),
    ),
    vertebrae=StageConfig(
        NetworkConfig(
            "scnet",
            (8, 8, 8),
            outputs=25,
            negative_slope=0.1,
            head_sigma=0.05,
            spatial_filters=8,
            spatial_kernel=5,
        ),
        (16, 16, 32),
        6.0,
        smoothing_sigma_mm=2.5,
        sigma_px=1.5,
        overlap=16,
        labels=VERTEBRA_CHANNELS_PAPER,
        threshold=0.05,
        published=_small(
            VERTEBRAE, rate=4e-3, steps=150, weight_decay=1e-3, sigma_decay=0.2, target_mass=53.0
        ),
    ),
    segmentation=StageConfig(
        NetworkConfig("unet", (8, 8), inputs=2),
        (32, 32, 24),
        3.0,
        smoothing_sigma_mm=1.2,
        activation="sigmoid",
        sigma_px=2.0,
        shift_posterior_mm=12.0,
        published=_small(SEGMENTATION, rate=1e-2, steps=90, weight_decay=1e-7),
    ),
)
"""The preset ``paper`` scaled down to what learns phantoms in seconds, to rehearse with."""


def find_preset(name: str) -> Preset:
    """A preset by its name, or from a JSON file such as `models.preset_to_dict` makes.

    Raises:
        ConfigurationError: there is none of that name, or the file holds none.
    """
    known = PRESETS | {preset.name: preset for preset in (TOY, SMALL_PAPER)}
    if name in known:
        return known[name]
    expected = f"{', '.join(known)}, or a JSON file"
    try:
        return preset_from_dict(json.loads(Path(name).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot be used: {error}", f"preset {name}", expected) from error
