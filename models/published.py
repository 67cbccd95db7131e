"""How a stage is trained as published: optimiser, steps, regularisation, augmentation, as data.

Where the paper and its authors' code differ: ``models/PUBLISHED.md``.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal


@dataclasses.dataclass(frozen=True)
class PublishedMethod:
    """The training of one stage (Payer et al., VISAPP 2020, section 4), in batches of one.

    Each limit of the augmentation is the end of an interval around "no change", drawn uniformly;
    lengths are voxels of the stage's own grid.

    Attributes:
        optimizer: ``adam``, or ``nesterov``: gradient descent with Nesterov's momentum 0.99.
        rate: learning rate, the same in all steps.
        steps: how many there are.
        weight_decay: factor of the squared norm of all kernels in the loss (beta in eq. 1).
        sigma_decay: factor of the squared norm of the learned sigmas of the heatmaps (alpha).
        target_mass: sum of a target heatmap with learned sigma (gamma); 0: sigma is fixed and the
            heatmap is 1 at the vertebra.
        translation_voxels, rotation_deg, scale: of the grid, along or about each axis; the scale
            is one for all axes.
        elastic_voxels: how far each point of a 6x6x6 grid moves along each axis; cubic B-splines
            between them.
        gain, shift: of the network's input, which is clipped to [-1, 1] afterwards.
    """

    optimizer: Literal["adam", "nesterov"]
    rate: float
    steps: int
    weight_decay: float
    sigma_decay: float = 0.0
    target_mass: float = 0.0
    translation_voxels: float = 30.0
    rotation_deg: float = 15.0
    scale: float = 0.15
    elastic_voxels: float = 15.0
    gain: float = 0.25
    shift: float = 0.25


SPINE = PublishedMethod("adam", 1e-4, 20_000, weight_decay=5e-4)

VERTEBRAE = PublishedMethod(
    "nesterov", 1e-8, 100_000, weight_decay=5e-4, sigma_decay=100.0, target_mass=1000.0
)

SEGMENTATION = PublishedMethod("adam", 1e-4, 50_000, weight_decay=1e-7)


def peak_height(mass: float, sigma_px: float) -> float:
    """Value at the centre of a Gaussian of `mass` and `sigma_px` voxels in three dimensions.

    >>> round(peak_height(1000.0, 3.0), 2)
    2.35
    """
    return mass / ((2.0 * math.pi) ** 1.5 * sigma_px**3)
