"""Parametric phantoms as a second kind of anatomy, made once into a pool of label volumes."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from vertseg.phantom import make_phantom
from vertseg.training.data.real import draw_scan, draw_vertebra
from vertseg.training.factory import implants
from vertseg.training.factory.wear import degenerate
from vertseg.training.recipe import Recipe, SourceVolume
from vertseg.training.volumes import RealVolume

log = logging.getLogger(__name__)

_VARIANTS = ("usual", "L6", "T13", "no_T12", "no_L5")
_VARIANT_SHARES = (0.8, 0.08, 0.04, 0.05, 0.03)
_PARTS = (("C1", "T4"), ("T3", "T12"), ("T10", "L5"))


def make_pool(recipe: Recipe, folder: Path, count: int, first_seed: int = 1000) -> None:
    """Writes `count` phantoms for one stage to `folder`; those that are there stay.

    Whole spines, or thirds of a spine for the segmentation stage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first_seed, first_seed + count):
        path = folder / f"{recipe.name}.{seed}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng(seed)
        variant = str(rng.choice(_VARIANTS, p=_VARIANT_SHARES))
        fractures = float(rng.choice([0.0, 0.1, 0.3], p=[0.5, 0.3, 0.2]))
        levels, field = ("C1", "sacrum"), (260.0, 250.0)
        if recipe.stage == "segmentation":
            part = 0 if recipe.levels and max(recipe.levels) <= 11 else seed % 3
            levels, field, variant = _PARTS[part], (135.0, 150.0), "usual"
        phantom = make_phantom(
            levels,
            recipe.source_spacing_mm,
            seed,
            field_mm=field,
            variant=variant,  # type: ignore[arg-type]
            fractures=fractures,
            noise_hu=0.0,
        )
        points = [phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids]
        names = [c.label for c in phantom.centroids]
        np.savez_compressed(path, labels=phantom.labels, names=names, points=points)
        log.info("%s: %s, %s", path.name, variant, phantom.labels.shape)


def load_pool(recipe: Recipe, folder: Path) -> list[RealVolume]:
    """The stage's phantoms in `folder`; none if there are none."""
    volumes = []
    for path in sorted(folder.glob(f"{recipe.name}.*.npz")):
        with np.load(path) as data:
            landmarks = {int(n): p for n, p in zip(data["names"], data["points"], strict=True)}
            volumes.append(RealVolume(path.stem, data["labels"], landmarks))
    return [volume for volume in volumes if recipe.wanted(volume.landmarks)]


def draw_phantom(
    recipe: Recipe, phantoms: list[RealVolume], rng: np.random.Generator
) -> SourceVolume:
    """A window of a random phantom, around its spine or around one vertebra."""
    if recipe.stage == "segmentation":
        source = draw_vertebra(recipe, phantoms, rng)
    else:
        source = draw_scan(recipe, phantoms, rng, outside=0)
    spacing = recipe.source_spacing_mm
    labels, landmarks = degenerate(source.volume, dict(source.landmarks), spacing, rng)
    bones, labels = labels, implants.insert(labels, landmarks, spacing, rng)
    return replace(source, volume=labels, landmarks=landmarks, bones=bones)
