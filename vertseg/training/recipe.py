"""What the samples of a stage look like, and what a sample is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from models.presets import VERTEBRA_CHANNELS, StageConfig


@dataclass(frozen=True)
class Recipe:
    """What the samples of one stage look like.

    Attributes:
        stage: name of the stage.
        config: its grid and target.
        size: voxels of the training grid (may be smaller than the stage's own grid).
        source_spacing_mm: spacing of the grid on which bodies are posed and painted.
        source_size: its voxels.
        rotation_deg, scale, translation_mm, elastic_mm: limits of the random deformation.
        gain, shift_hu: limits of the random change of intensities.
        augmentation: strength of everything random that is done to a source: 1 in full, 0 none,
            so that the sample is what the network is given when it is used (see `strength.py`).
        levels: labels that samples are made of; none stands for all (segmentation stage).
        grid: name of the source grid, where the stage has several; see `recipes_for`.
    """

    stage: str
    config: StageConfig
    size: tuple[int, int, int]
    source_spacing_mm: float
    source_size: tuple[int, int, int]
    rotation_deg: float = 10.0
    scale: float = 0.12
    translation_mm: float = 20.0
    elastic_mm: float = 6.0
    gain: float = 0.15
    shift_hu: float = 40.0
    augmentation: float = 1.0
    levels: frozenset[int] = frozenset()
    grid: str = ""

    @property
    def name(self) -> str:
        """Name of the stage and its source grid, as in the files of a pool."""
        return f"{self.stage}-{self.grid}" if self.grid else self.stage

    def wanted(self, labels: Iterable[int]) -> list[int]:
        """Those of `labels` that samples are made of."""
        return [label for label in labels if not self.levels or label in self.levels]


def recipe_for(stage: str, config: StageConfig, augmentation: float = 1.0) -> Recipe:
    """The recipe of a stage; source grids are finer than the network's and reach beyond it.

    The training grid is the stage's own: zero padding tells a deep network where the border is,
    and a network that was trained on smaller crops loses much on larger ones.
    """
    fine, margin, limits = _RECIPES[stage]
    a, b, c = (int(fine * n * margin) // 8 * 8 for n in config.size)
    spacing = config.spacing_mm / fine
    recipe = Recipe(stage, config, config.size, spacing, (a, b, c), *limits)
    return replace(recipe, augmentation=augmentation)


def recipes_for(stage: str, config: StageConfig, augmentation: float = 1.0) -> tuple[Recipe, ...]:
    """The recipes of a stage, one for each source grid.

    A stage that cuts some vertebrae out on a much finer grid than the others has a second one for
    them: on the common one the thin bone of the neck would be as coarse as in thick slices.
    """
    common = recipe_for(stage, config, augmentation)
    limit = _FINE * config.spacing_mm
    fine = {label: mm for label, mm in config.level_spacing_mm if mm <= limit}
    others = frozenset(VERTEBRA_CHANNELS) - fine.keys()
    if stage != "segmentation" or not fine or not others:
        return (common,)
    spacing = max(fine.values()) / _FINE_SOURCE
    return (
        replace(common, levels=others),
        replace(common, levels=frozenset(fine), source_spacing_mm=spacing, grid="fine"),
    )


_FINE = 0.8
"""Spacing of a fine grid, at most, as a share of the stage's own."""
_FINE_SOURCE = 1.15
"""How much finer its source grid is, as that of thoracic vertebrae."""

_RECIPES = {
    "spine": (1.33, 1.25, (8.0, 0.15, 30.0, 10.0)),
    "vertebrae": (1.6, 1.3, (10.0, 0.16, 18.0, 6.0)),
    "segmentation": (1.3, 1.15, (18.0, 0.12, 3.0, 3.0)),
}
"""Finer source grid, how far it reaches, and rotation, scale, translation, elastic limits."""

PRESMOOTHING = 0.4
"""Gaussian against aliasing with which real scans come onto a source grid, in its voxels."""


@dataclass(frozen=True)
class SourceVolume:
    """Labels or HU on a recipe's source grid with the landmarks in it.

    Attributes:
        volume: uint8 labels, or int16 HU of a real scan, of the recipe's source size.
        landmarks: label -> source voxel coordinates.
        centre: source voxel coordinates of the point that the network's grid is centred on.
        wanted: the label to segment (segmentation stage).
        unnamed: labels of landmarks whose name is doubtful.
        doubtful: label -> where a vertebra may or may not be seen.
        mask: of a real scan: uint8 labels on the same grid, where there are some.
        bones: of painted labels: the same before implants were set into them, where there are some.
    """

    volume: np.ndarray
    landmarks: dict[int, np.ndarray]
    centre: np.ndarray
    wanted: int = 0
    unnamed: frozenset[int] = frozenset()
    doubtful: Mapping[int, np.ndarray] = field(default_factory=dict)
    mask: np.ndarray | None = None
    bones: np.ndarray | None = None
