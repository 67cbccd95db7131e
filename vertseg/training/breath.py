"""How deep the lungs reach: breath, effusions and collapsed lobes, in a label volume."""

from __future__ import annotations

import numpy as np

from vertseg.phantom import Tissue

_DEPTH_SD_MM = 30.0
_GIVES_WAY = (*range(Tissue.LIVER, Tissue.BLADDER), Tissue.KIDNEY, Tissue.FAT)
"""Tissues whose place the lungs take in a deeper breath; crura and psoas only sometimes."""


def breathe(labels: np.ndarray, spacing_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Labels (x, y, z; z towards the head) whose lungs end a random depth lower or higher.

    In the posterior recess lung lies beside the lowest thoracic or the first lumbar vertebra, or
    fluid and liver lie beside the middle ones: it must not tell their names.
    """
    lungs = labels == Tissue.LUNG
    shift = int(round(rng.normal(0.0, _DEPTH_SD_MM) / spacing_mm))
    if shift == 0 or not lungs.any():
        return labels
    source = np.clip(np.arange(labels.shape[2]) + shift, 0, labels.shape[2] - 1)
    moved = lungs[:, :, source]
    labels = labels.copy()
    if shift > 0:
        soft = (*_GIVES_WAY, Tissue.MUSCLE) if rng.random() < 0.5 else _GIVES_WAY
        labels[moved & ~lungs & np.isin(labels, soft)] = Tissue.LUNG
    else:
        filled = Tissue.LIVER if rng.random() < 0.7 else Tissue.MUSCLE
        labels[lungs & ~moved] = filled
    return labels
