"""Where training samples come from: posed bodies, phantoms, real scans, real vertebra masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vertseg.training.atlas import load_atlas
from vertseg.training.courses import read_courses, split_by_patient
from vertseg.training.draws import NoiseBank, Recipe, SourceVolume, draw_body, draw_sample
from vertseg.training.phantoms import draw_phantom, load_pool
from vertseg.training.real import draw_mask, draw_scan, load_masks, load_scans

_SHARE_PHANTOM = 0.2
_SHARE_REAL = {"spine": 0.25, "vertebrae": 0.25, "segmentation": 0.2}


class Sources:
    """All sources of one stage; `draw` makes one sample from a generator.

    Args:
        data: folder with ``atlas/``, ``ct/``, ``masks/`` and the centroid tables.
        recipe: what the samples look like.
        pool: folder with phantoms (see `phantoms.py`).
    """

    def __init__(self, data: Path, recipe: Recipe, pool: Path | None = None) -> None:
        self._recipe = recipe
        self._atlas = load_atlas(data / "atlas")
        self._courses, self.validation_courses = split_by_patient(read_courses(data))
        self._bank = NoiseBank(recipe.source_size)
        self._segmentation = recipe.stage == "segmentation"
        load = load_masks if self._segmentation else load_scans
        self._real = [v for v in load(data, recipe.source_spacing_mm) if v.landmarks]
        self._phantoms = load_pool(recipe, pool) if pool is not None else []

    def draw(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One training sample."""
        return draw_sample(self._recipe, self._source(rng), self._bank, rng)

    def _source(self, rng: np.random.Generator) -> SourceVolume:
        if self._phantoms and rng.random() < _SHARE_PHANTOM:
            return draw_phantom(self._recipe, self._phantoms, rng)
        if self._real and rng.random() < _SHARE_REAL[self._recipe.stage]:
            draw = draw_mask if self._segmentation else draw_scan
            return draw(self._recipe, self._real, rng)
        return draw_body(self._recipe, self._courses, self._atlas, rng)
