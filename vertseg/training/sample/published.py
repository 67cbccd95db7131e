"""Samples of the published training: real scans, sampled once, as prediction samples them.

Payer et al., VISAPP 2020, sections 3 and 4. Nothing is done to a scan but what is written there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.presets import HU_PER_UNIT, VERTEBRA_CHANNELS, StageConfig
from models.published import PublishedMethod
from vertseg.errors import ConfigurationError
from vertseg.geometry.grid import Float32Array, FloatArray
from vertseg.training.data.native import NativeCase, read_native
from vertseg.training.sample.deformation import (
    Augmentation,
    Deformation,
    draw_augmentation,
    weaker,
)

Sample = dict[str, npt.NDArray[Any]]

_FAR = -1e4
"""Voxel of a vertebra that is not there."""


@dataclass(frozen=True)
class PublishedRecipe:
    """What the samples of one stage look like.

    Attributes:
        stage: name of the stage.
        config: its grid and targets.
        augmentation: strength of the augmentation, 1 as published, 0 none.
    """

    stage: str
    config: StageConfig
    augmentation: float = 1.0

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels of the network's grid."""
        return self.config.size

    @property
    def method(self) -> PublishedMethod:
        """The published method of the stage.

        Raises:
            ConfigurationError: the stage has none.
        """
        if self.config.published is None:
            raise ConfigurationError("is not trained as published", f"{self.stage} stage")
        return self.config.published


class PublishedSources:
    """The cases of a pool; `draw` makes one sample from a generator.

    Args:
        recipe: what the samples look like.
        pool: prepared with the preset that is trained.
        fold: a fold that is left out; None for none.
        held_back: take the cases of `fold`, and no others; without a fold all of them.
        hold_out: names of cases that are left out.

    Raises:
        ConfigurationError: there is no case to learn from.
    """

    def __init__(
        self,
        recipe: PublishedRecipe,
        pool: Path,
        fold: int | None = None,
        held_back: bool = False,
        hold_out: Sequence[str] = (),
    ) -> None:
        self._recipe = recipe
        self._method = weaker(recipe.method, recipe.augmentation)
        cases = read_native(pool, recipe.config.smoothing_sigma_mm)
        self.cases = [
            case
            for case in cases
            if case.name not in hold_out and (fold is None or (case.fold == fold) == held_back)
        ]
        self._masked: dict[str, list[int]] = {}
        if recipe.stage == "segmentation":
            self._masked = {case.name: vertebrae_with_mask(case) for case in self.cases}
            self.cases = [case for case in self.cases if self._masked[case.name]]
        if not self.cases:
            raise ConfigurationError(
                f"there is nothing to train the {recipe.stage} stage on",
                str(pool),
                "scans with points outside of the fold; for the segmentation stage with masks",
                "Prepare more cases, or leave out --fold.",
            )

    def draw(self, rng: np.random.Generator) -> Sample:
        """A random place in a random case, augmented."""
        case = self.cases[rng.integers(len(self.cases))]
        if self._recipe.stage == "segmentation":
            label = int(rng.choice(self._masked[case.name]))
            return segmentation_sample(case, label, self._recipe, self._augmentation(rng))
        centre = window_centre(case, self._recipe, rng)
        return landmark_sample(case, centre, self._recipe, self._augmentation(rng))

    def _augmentation(self, rng: np.random.Generator) -> Augmentation:
        return draw_augmentation(self._method, rng)


def vertebrae_with_mask(case: NativeCase) -> list[int]:
    """Labels of the vertebrae that have a point and a mask."""
    if case.mask is None:
        return []
    place = {
        label: np.rint(case.grid.lps_to_index(point)).astype(int)
        for label, point in case.points_lps_mm.items()
    }
    return [label for label, index in place.items() if _near(case.mask, index, label)]


def _near(mask: npt.NDArray[np.uint8], index: npt.NDArray[np.int_], label: int) -> bool:
    """Whether a label is found near its point, which in C1 lies in the hole of the ring."""
    box = tuple(slice(max(i - 12, 0), max(i + 13, 0)) for i in index)
    return bool((mask[box] == label).any())


def window_centre(
    case: NativeCase, recipe: PublishedRecipe, rng: np.random.Generator
) -> FloatArray:
    """Where the grid lies without augmentation, LPS mm (3,).

    The spine stage looks at the middle of the scan; the vertebrae stage at the x and y of the
    spine and, where the scan is longer than the grid, at a part of it at random.
    """
    corners = case.grid.corners_lps_mm(0.5)
    low, high = corners.min(axis=0), corners.max(axis=0)
    centre = np.asarray(0.5 * (low + high), np.float64)
    if recipe.stage == "spine":
        return centre
    centre[:2] = np.mean([*case.points_lps_mm.values()], axis=0)[:2]
    spare = max(high[2] - low[2] - recipe.size[2] * recipe.config.spacing_mm, 0.0)
    centre[2] += rng.uniform(-0.5, 0.5) * spare
    return centre


def landmark_sample(
    case: NativeCase, centre_lps_mm: FloatArray, recipe: PublishedRecipe, changed: Augmentation
) -> Sample:
    """``image`` (x, y, z, 1), ``landmarks`` (labels, 3) in its voxels, ``seen`` (labels,) 0/1."""
    deformation = Deformation.of(changed, recipe.size, recipe.config.spacing_mm, centre_lps_mm)
    image = _network_input(case, deformation.grid_lps_mm(), changed)
    labels = recipe.config.labels or VERTEBRA_CHANNELS
    landmarks = np.full((len(labels), 3), _FAR, np.float32)
    rows = [row for row, label in enumerate(labels) if label in case.points_lps_mm]
    if rows:
        points = np.array([case.points_lps_mm[labels[row]] for row in rows])
        landmarks[rows] = deformation.to_voxels(points)
    seen = np.isin(np.arange(len(labels)), rows).astype(np.float32)
    return {"image": image[..., None], "landmarks": landmarks, "seen": seen}


def segmentation_sample(
    case: NativeCase, label: int, recipe: PublishedRecipe, changed: Augmentation
) -> Sample:
    """``image`` (x, y, z, 2): the scan, and the marker; ``target`` (x, y, z, 1), 0 or 1."""
    config = recipe.config
    point = case.points_lps_mm[label]
    centre = point + config.shift_at(label)
    deformation = Deformation.of(changed, recipe.size, config.spacing_at(label), centre)
    places = deformation.grid_lps_mm()
    image = _network_input(case, places, changed)
    marker = _gaussian(recipe.size, deformation.to_voxels(point)[0], config.sigma_px)
    target = case.label_at(places, label).astype(np.float32)
    return {"image": np.stack([image, marker], axis=-1), "target": target[..., None]}


def _network_input(case: NativeCase, places: FloatArray, changed: Augmentation) -> Float32Array:
    image = case.hu_at(places) / np.float32(HU_PER_UNIT)
    image = image * np.float32(changed.gain) + np.float32(changed.shift)
    return np.clip(image, -1.0, 1.0, out=image)


def _gaussian(size: tuple[int, int, int], centre: FloatArray, sigma_px: float) -> Float32Array:
    """A Gaussian with the height 1 at a place in voxels."""
    along = [
        np.exp(-0.5 * ((np.arange(n) - c) / sigma_px) ** 2)
        for n, c in zip(size, centre, strict=True)
    ]
    return np.einsum("x,y,z->xyz", *along).astype(np.float32)
