"""Everything random about a subject, drawn once from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vertseg.phantom.spine import Spine, Variant, draw_spine
from vertseg.phantom.torso import Habitus, draw_habitus


@dataclass(frozen=True, eq=False)
class Subject:
    """A person on the couch.

    Attributes:
        spine: the posed vertebrae.
        habitus: body build.
        trabecular_hu: cancellous bone of L1; the neck's is denser.
        cortical_hu: compact bone, before the scanner blurs it.
        blood_hu: 40 without contrast medium.
        arch_gain_hu: how much denser the inside of the vertebral arches is.
        muscle_hu, muscle_bulk: muscle.
        fat_streaks: share of fat in the muscles.
        table_hu: shell of the couch.
        plaques: calcified spots on the aorta.
        seed: of the organs' and textures' details.
    """

    spine: Spine
    habitus: Habitus
    trabecular_hu: float
    cortical_hu: float
    blood_hu: float
    arch_gain_hu: float
    muscle_hu: float
    muscle_bulk: float
    fat_streaks: float
    table_hu: float
    plaques: int
    seed: int


def draw_subject(seed: int, variant: Variant = "usual", fractures: float = 0.0) -> Subject:
    """Draw a subject from a seed (see `draw_spine` for the options)."""
    rng = np.random.default_rng(seed)
    return Subject(
        spine=draw_spine(rng, variant, fractures),
        habitus=draw_habitus(rng),
        trabecular_hu=float(np.clip(rng.normal(165, 35), 90, 240)),
        cortical_hu=float(rng.uniform(1150, 1500)),
        blood_hu=float(rng.choice([42.0, 45.0, 140.0])),
        arch_gain_hu=float(rng.uniform(60, 260)),
        muscle_hu=float(rng.uniform(48, 62)),
        muscle_bulk=float(rng.normal(1.0, 0.07)),
        fat_streaks=float(rng.uniform(0.0, 0.5)),
        table_hu=float(rng.choice([-300.0, -150.0, 200.0])),
        plaques=int(rng.choice([0, 0, 4, 12])),
        seed=int(rng.integers(2**31)),
    )
