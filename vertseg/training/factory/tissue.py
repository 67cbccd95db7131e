"""Random Hounsfield units for every label: drawn once per patient, a table of 256 entries each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vertseg.phantom import Tissue

BONES = (*range(1, 28), 28, 41, 42, 43, 44, 46, 47, 48, 49, *range(101, 113), *range(121, 133))
METAL, CEMENT, CALCIFICATION, GAS, MARROW, DENSE, JOINT = range(200, 207)
VERTEBRAE_AND_SACRUM = (*range(1, 27), 28)
_LEAST_SHELL_HU = 350.0
"""Of cortex, whatever is left of trabeculae: osteoporosis does not hide an outline."""


@dataclass(frozen=True)
class TissueDraw:
    """Tables over the label id, shape (256,), float32.

    Attributes:
        hu: mean HU.
        bone: 1 where cortical shell and trabecular texture belong.
        cortex: HU that the shell adds.
        texture: standard deviation in HU of the fine texture.
    """

    hu: np.ndarray
    bone: np.ndarray
    cortex: np.ndarray
    texture: np.ndarray


def draw_tissue(rng: np.random.Generator) -> TissueDraw:
    """One patient's tissue values (ranges: literature table of HU at 120 kV, widened)."""
    hu = np.zeros(256, np.float32)
    texture = np.full(256, rng.uniform(2, 12), np.float32)
    hu[:] = rng.uniform(20, 70)
    _draw_soft(hu, rng)
    bone, cortex = np.zeros(256, np.float32), np.zeros(256, np.float32)
    trabecular = rng.uniform(40, 300)
    for label in BONES:
        bone[label] = 1.0
        share = 1.0 if label in VERTEBRAE_AND_SACRUM else 1.1
        hu[label] = trabecular * rng.normal(1.0, 0.08) * share
        cortex[label] = rng.uniform(150, 500)
        texture[label] = rng.uniform(10, 50)
    shell = max(rng.uniform(250, 1200), _LEAST_SHELL_HU - trabecular)
    cortex[list(VERTEBRAE_AND_SACRUM)] = shell * rng.normal(1, 0.1, len(VERTEBRAE_AND_SACRUM))
    hu[list(range(1, 8))] *= rng.uniform(1.0, 1.5)
    hu[Tissue.SKULL], hu[Tissue.MANDIBLE] = rng.uniform(400, 900), rng.uniform(300, 800)
    hu[METAL], hu[CEMENT] = rng.uniform(2000, 3071), rng.uniform(900, 2200)
    hu[CALCIFICATION], hu[GAS] = rng.uniform(200, 900), rng.uniform(-1000, -700)
    _draw_ribs(hu, bone, cortex, rng)
    hu[MARROW], bone[MARROW] = rng.uniform(-60, 110), 1.0
    hu[DENSE], bone[DENSE] = rng.uniform(400, 1600), 1.0
    hu[JOINT] = rng.uniform(20, 160)
    hu[Tissue.TABLE] = rng.uniform(-600, -50)
    hu[Tissue.AIR] = -1000.0
    texture[Tissue.AIR] = 0.0
    return TissueDraw(hu, bone, cortex, texture)


def _draw_soft(hu: np.ndarray, rng: np.random.Generator) -> None:
    organs = rng.uniform(20, 130, 40)
    hu[50:90] = organs
    hu[Tissue.MUSCLE] = rng.uniform(10, 75)
    hu[Tissue.FAT] = rng.uniform(-125, -70) if rng.random() < 0.8 else rng.uniform(-60, 50)
    hu[Tissue.SKIN] = rng.uniform(-20, 60) if rng.random() < 0.5 else hu[Tissue.FAT]
    hu[Tissue.LIGAMENT] = rng.uniform(30, 110)
    hu[Tissue.LUNG] = rng.uniform(-930, -650) if rng.random() < 0.9 else rng.uniform(-500, 30)
    hu[Tissue.AIRWAY] = rng.uniform(-1000, -850)
    blood = rng.uniform(30, 60) if rng.random() < 0.4 else rng.uniform(80, 400)
    hu[Tissue.AORTA], hu[Tissue.VENA_CAVA] = blood, rng.uniform(0.4, 1.0) * blood
    hu[Tissue.HEART] = rng.uniform(0.5, 1.0) * blood
    hu[Tissue.KIDNEY] = rng.uniform(25, 220)
    hu[Tissue.DISC] = rng.uniform(50, 130)
    if rng.random() < 0.05:
        hu[Tissue.DISC] = rng.uniform(-200, 250)
    hu[Tissue.COSTAL_CARTILAGE] = rng.uniform(70, 250)
    hu[50] = rng.uniform(60, 250)
    hu[Tissue.CORD] = rng.uniform(10, 60)


def _draw_ribs(
    hu: np.ndarray, bone: np.ndarray, cortex: np.ndarray, rng: np.random.Generator
) -> None:
    """Marrow as in the vertebrae in a thick cortex; sometimes the twelfth are missing."""
    denser, shell = rng.uniform(-80, 120), rng.uniform(250, 1200)
    for side in (100, 120):
        of_side = slice(side + 1, side + 13)
        hu[of_side] += denser
        cortex[of_side] = shell * rng.normal(1, 0.1, 12)
    for side in (100, 120):
        if rng.random() < 0.06:
            hu[side + 12], bone[side + 12], cortex[side + 12] = hu[Tissue.MUSCLE], 0.0, 0.0
