"""Where training samples come from: posed bodies, phantoms, real scans, real vertebra masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vertseg.errors import ConfigurationError
from vertseg.training.atlas import PACKED, load_atlas
from vertseg.training.bodies import draw_body
from vertseg.training.courses import read_courses, split_by_patient
from vertseg.training.draws import NoiseBank, draw_sample
from vertseg.training.phantoms import draw_phantom, load_pool
from vertseg.training.real import (
    draw_scan,
    draw_vertebra,
    load_labelled_scans,
    load_masks,
    load_scans,
)
from vertseg.training.real_pool import is_real_pool
from vertseg.training.recipe import Recipe, SourceVolume

_SHARES = {
    "spine": {"scan": 0.25, "phantom": 0.15, "graft": 0.0},
    "vertebrae": {"scan": 0.28, "phantom": 0.15, "graft": 0.15},
    "segmentation": {"scan": 0.2, "phantom": 0.15, "graft": 0.35},
}
"""Share of each source in the samples of a stage; the rest are bodies of the atlas alone."""


class Sources:
    """All sources of one stage; `draw` makes one sample from a generator.

    Args:
        data: folder with ``atlas/``, ``ct/``, ``masks/`` and the centroid tables.
        recipe: what the samples look like.
        pool: folder with phantoms (see `phantoms.py`); prepared cases or an atlas in it take the
            place of those of `data` (see `prepare.py`).
        fold: a fold of the prepared cases that is left out.

    Raises:
        ConfigurationError: `fold` without prepared cases, or cases prepared for other grids.
    """

    def __init__(
        self, data: Path, recipe: Recipe, pool: Path | None = None, fold: int | None = None
    ) -> None:
        self._recipe = recipe
        packed = pool if pool and (pool / PACKED).is_file() else None
        self._atlas = load_atlas(packed or data / "atlas")
        self._courses, self.validation_courses = split_by_patient(read_courses(data))
        self._bank = NoiseBank(recipe.source_size)
        shares = _SHARES[recipe.stage]
        spacing = recipe.source_spacing_mm
        real = pool if pool and is_real_pool(pool) else data
        if fold is not None and real is data:
            raise ConfigurationError(
                "there are no prepared cases to leave a fold out of",
                str(pool or "--pool"),
                remedy="Make them with: python -m vertseg.training prepare",
            )
        segmenting = recipe.stage == "segmentation"
        self._draw_scan = draw_vertebra if segmenting else draw_scan
        load = load_labelled_scans if segmenting else load_scans
        self._volumes = {
            "scan": load(real, spacing, fold=fold),
            "phantom": load_pool(recipe, pool) if pool is not None else [],
            "graft": load_masks(real, spacing, fold=fold) if shares["graft"] else [],
        }
        self._shares = {name: shares[name] for name, v in self._volumes.items() if v}

    def draw(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One training sample."""
        return draw_sample(self._recipe, self._source(rng), self._bank, rng)

    def _source(self, rng: np.random.Generator) -> SourceVolume:
        rest = 1.0 - sum(self._shares.values())
        kind = rng.choice(["body", *self._shares], p=[rest, *self._shares.values()])
        if kind == "scan":
            return self._draw_scan(self._recipe, self._volumes["scan"], rng)
        if kind == "phantom":
            return draw_phantom(self._recipe, self._volumes["phantom"], rng)
        graft = None
        if kind == "graft":
            masks = self._volumes["graft"]
            graft = masks[rng.integers(len(masks))]
        return draw_body(self._recipe, self._courses, self._atlas, rng, graft)
