"""Modes: usual; faster and a little less accurate; for comparison, plain or as published."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from models import Preset, StageConfig

Mode = Literal["usual", "fast", "reference", "published"]

_COARSER = 1.25
_OVERLAP = 0.2  # of the length of a tile


def preset_for(mode: Mode, preset: Preset) -> Preset:
    """The stages as `mode` runs them.

    ``fast`` segments with voxels 1.25 times as large, in crops that are as wide and deep, and lets
    the tiles of the vertebrae stage overlap by a fifth. Weights stay the same. Crops keep their
    voxels along z: with fewer the border comes near, which the network was not trained for.
    """
    if mode != "fast":
        return preset
    overlap = min(preset.vertebrae.overlap, int(_OVERLAP * preset.vertebrae.size[2]))
    return replace(
        preset,
        vertebrae=replace(preset.vertebrae, overlap=overlap),
        segmentation=_coarser(preset.segmentation),
    )


def _coarser(config: StageConfig) -> StageConfig:
    step = 2 ** (len(config.network.filters) - 1)  # so that halves meet at every level
    x, y = (max(round(n / _COARSER / step), 1) * step for n in config.size[:2])
    levels = tuple((label, _COARSER * mm) for label, mm in config.level_spacing_mm)
    return replace(
        config,
        size=(x, y, config.size[2]),
        spacing_mm=_COARSER * config.spacing_mm,
        level_spacing_mm=levels,
    )
