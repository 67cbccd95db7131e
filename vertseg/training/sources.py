"""Where training samples come from: posed bodies, phantoms, real scans, real vertebra masks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vertseg.errors import ConfigurationError
from vertseg.training.data.real import (
    draw_scan,
    draw_vertebra,
    load_labelled_scans,
    load_masks,
    load_scans,
)
from vertseg.training.data.real_pool import holds_cases, is_real_pool
from vertseg.training.factory.atlas import PACKED, Atlas, load_atlas
from vertseg.training.factory.bodies import draw_body
from vertseg.training.factory.courses import Course, read_courses, split_by_patient
from vertseg.training.factory.packed import load_packed
from vertseg.training.factory.phantoms import draw_phantom, load_pool
from vertseg.training.factory.soft_tissue import unsettle
from vertseg.training.loop.prefetch import Reuse
from vertseg.training.loop.workers import DrawSample
from vertseg.training.recipe import Recipe, SourceVolume
from vertseg.training.sample.appearance import NoiseOnDevice
from vertseg.training.sample.draw import Draw
from vertseg.training.sample.draws import draw_sample
from vertseg.training.volumes import RealVolume

_SHARES = {
    "spine": {"scan": 0.25, "phantom": 0.15, "graft": 0.0},
    "vertebrae": {"scan": 0.28, "phantom": 0.15, "graft": 0.15},
    "segmentation": {"scan": 0.2, "phantom": 0.15, "graft": 0.35},
}
"""Share of each source in the samples of a stage; the rest are bodies of the atlas alone.

Without an atlas there are neither bodies nor grafts, and the others take their share.
"""

_FINE_SHARE = 0.35
"""Share of the samples that a second, fine source grid makes."""


class Sources:
    """All sources of one stage; `draw` makes one sample from a generator.

    Args:
        data: folder with ``atlas/``, ``ct/``, ``masks/`` and the centroid tables; None for the
            pool alone.
        recipe: what the samples look like.
        pool: folder with phantoms (see `phantoms.py`); prepared cases or an atlas in it take the
            place of those of `data` (see `prepare.py`), and without `data` its packed bodies take
            that of posed ones (see `packed.py`).
        fold: a fold of the prepared cases that is left out.
        held_back: take what training never sees: the scans of `fold`; without a fold the courses
            that are held back; without either fresh samples of the same sources.

    Raises:
        ConfigurationError: `fold` without prepared cases, cases prepared for other grids, or no
            source at all.
    """

    def __init__(
        self,
        data: Path | None,
        recipe: Recipe,
        pool: Path | None = None,
        fold: int | None = None,
        held_back: bool = False,
        hold_out: Collection[str] | None = None,
    ) -> None:
        self._recipe = recipe
        self._kept_out = {} if hold_out is None else {"hold_out": hold_out}
        self._bank = NoiseOnDevice(recipe.source_size)
        real = pool if pool and is_real_pool(pool) else data
        if fold is not None and (real is None or real is data):
            raise ConfigurationError(
                "there are no prepared cases to leave a fold out of",
                str(pool or "--pool"),
                remedy="Make them with: python -m vertseg.training prepare.",
            )
        self._posing: tuple[list[Course], Atlas] | None = None
        if data is not None:
            packed = pool if pool and (pool / PACKED).is_file() else None
            courses = split_by_patient(read_courses(data))[held_back]
            self._posing = courses, load_atlas(packed or data / "atlas")
        self._packed = load_packed(recipe, pool) if pool is not None and data is None else []
        if recipe.grid and real is not None and real is pool and not holds_cases(pool, recipe.name):
            real = None  # prepared before there was this grid, or none of its levels is in view
        self.volumes = self._load(real, pool, fold, held_back)
        shares = {k: s for k, s in _SHARES[recipe.stage].items() if self.volumes.get(k)}
        bodies = "packed" if self._packed else "body"
        if self._packed or self._posing is not None:
            shares = {bodies: 1 - sum(shares.values())} | shares
        self._shares = shares
        if not self._shares:
            raise ConfigurationError(
                f"there is nothing to train the {recipe.stage} stage on",
                str(pool or "--data, --pool"),
                remedy="Give a folder with an atlas, phantoms or prepared cases.",
            )

    def _load(
        self, real: Path | None, pool: Path | None, fold: int | None, held_back: bool
    ) -> dict[str, list[RealVolume]]:
        """The volumes of each source, as far as it is wanted and there are any."""
        stage, spacing = self._recipe.stage, self._recipe.source_spacing_mm
        found: dict[str, list[RealVolume]] = {}
        only_fold = held_back and fold is not None
        if real is not None and (not held_back or only_fold or self._posing is None):
            load = load_labelled_scans if stage == "segmentation" else load_scans
            scans = load(real, spacing, fold=fold, only_fold=only_fold, **self._kept_out)
            found["scan"] = self._with_levels(scans)
        if held_back and (self._posing is not None or found.get("scan")):
            return found
        if pool is not None:
            found["phantom"] = load_pool(self._recipe, pool)
        if real is not None and self._posing is not None and _SHARES[stage]["graft"]:
            masks = load_masks(real, spacing, fold=fold, **self._kept_out)
            found["graft"] = self._with_levels(masks)
        return found

    def _with_levels(self, volumes: list[RealVolume]) -> list[RealVolume]:
        """Those that show a level that samples are made of."""
        return [volume for volume in volumes if self._recipe.wanted(volume.landmarks)]

    def draw(self, rng: np.random.Generator) -> Draw:
        """One training sample."""
        return self.sample(self.source(rng), rng)

    def sample(self, source: SourceVolume, rng: np.random.Generator) -> Draw:
        """A sample of `source`, which may serve for several."""
        return draw_sample(self._recipe, source, self._bank, rng)

    def source(self, rng: np.random.Generator) -> SourceVolume:
        """A part of a body, of a phantom or of a scan."""
        source = self._source(rng)
        if self._recipe.stage == "vertebrae":
            spacing = self._recipe.source_spacing_mm
            source = replace(source, volume=unsettle(source.volume, spacing, rng))
        return source

    def _source(self, rng: np.random.Generator) -> SourceVolume:
        kinds, shares = [*self._shares], np.array([*self._shares.values()])
        kind = rng.choice(kinds, p=shares / shares.sum())
        if kind == "scan":
            draw = draw_vertebra if self._recipe.stage == "segmentation" else draw_scan
            return draw(self._recipe, self.volumes["scan"], rng)
        if kind == "phantom":
            return draw_phantom(self._recipe, self.volumes["phantom"], rng)
        if kind == "packed":
            return self._packed[rng.integers(len(self._packed))]
        return self._body(rng, kind == "graft")

    def posed(self, rng: np.random.Generator) -> SourceVolume:
        """A posed body, some of them with real vertebrae, in the shares that samples have."""
        grafts, bodies = self._shares.get("graft", 0.0), self._shares.get("body", 0.0)
        if self._posing is None:
            remedy = "Give --data with an atlas."
            raise ConfigurationError("there is no atlas to pose", "--data", remedy=remedy)
        return self._body(rng, rng.random() * (grafts + bodies) < grafts)

    def _body(self, rng: np.random.Generator, grafted: bool) -> SourceVolume:
        graft = None
        if grafted:
            masks = self.volumes["graft"]
            graft = masks[rng.integers(len(masks))]
        assert self._posing is not None  # bodies have no share without it
        return draw_body(self._recipe, *self._posing, rng, graft)


class SourceGrids:
    """The sources of a stage on all of its source grids (see `recipe.recipes_for`).

    Args:
        data, pool, fold, held_back, hold_out: as `Sources` takes them.
        recipes: of the stage; one for which there is nothing is left out, and then the first one
            makes samples of all levels.

    Raises:
        ConfigurationError: as of `Sources`.
    """

    def __init__(
        self,
        data: Path | None,
        recipes: Sequence[Recipe],
        pool: Path | None = None,
        fold: int | None = None,
        held_back: bool = False,
        hold_out: Collection[str] | None = None,
    ) -> None:
        first, *others = recipes
        others = [r for r in others if data is not None or _has_files(pool, r)]
        if not others:
            first = replace(first, levels=frozenset())
        self._parts = [
            Sources(data, recipe, pool, fold, held_back, hold_out) for recipe in (first, *others)
        ]

    def draw(self, rng: np.random.Generator) -> Draw:
        """One training sample."""
        return self.sample(self.source(rng), rng)

    def source(self, rng: np.random.Generator) -> tuple[int, SourceVolume]:
        """A part of a body, of a phantom or of a scan, and the number of its grid."""
        fine = len(self._parts) > 1 and rng.random() < _FINE_SHARE
        return int(fine), self._parts[fine].source(rng)

    def sample(self, source: tuple[int, SourceVolume], rng: np.random.Generator) -> Draw:
        """A sample of a source, which may serve for several."""
        grid, volume = source
        return self._parts[grid].sample(volume, rng)


def _has_files(pool: Path | None, recipe: Recipe) -> bool:
    """Whether a pool holds packed bodies, phantoms or prepared cases for a recipe."""
    if pool is None:
        return False
    patterns = (f"bodies.{recipe.name}.*.npz", f"{recipe.name}.*.npz")
    return holds_cases(pool, recipe.name) or any(any(pool.glob(p)) for p in patterns)


def make_draw(
    data: Path | None,
    recipes: Sequence[Recipe],
    pool: Path | None = None,
    fold: int | None = None,
    hold_out: Collection[str] | None = None,
    reuse: int = 1,
) -> DrawSample:
    """The training samples of `SourceGrids`, about `reuse` of each source."""
    sources = SourceGrids(data, recipes, pool, fold, hold_out=hold_out)
    return Reuse(sources, reuse).draw if reuse > 1 else sources.draw
