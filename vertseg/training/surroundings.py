"""Soft tissue that says nothing of levels: gone, or moved along the spine.

There is one atlas. A network that may look at its organs, muscles and outline names every vertebra
by them, even with vertebrae, discs and ribs painted away, and is a level off in patients. Here the
skeleton alone keeps to its levels.
"""

from __future__ import annotations

import numpy as np

from vertseg.phantom import Tissue
from vertseg.training.tissue import BONES

_GONE_SHARE, _MOVED_SHARE = 0.3, 0.4
"""Of label volumes; the others stay as they are."""

_REAL_GONE_SHARE = 0.25
_LUNGS_TOO_SHARE = 0.5
_MOVE_SD_MM = 40.0
_SOFT_HU = 110
"""Bone begins about here; what lies below becomes muscle."""

_SKELETON = np.zeros(256, bool)
_SKELETON[[*BONES, Tissue.DISC, Tissue.COSTAL_CARTILAGE, Tissue.CORD]] = True
_SKELETON[200:] = True  # implants, calcifications, marrow
_AIR = (Tissue.LUNG, Tissue.AIRWAY)


def unsettle(volume: np.ndarray, spacing_mm: float, rng: np.random.Generator) -> np.ndarray:
    """`volume` (x, y, z) with its soft tissue as it was, made muscle, or moved along z.

    Args:
        volume: uint8 labels, or int16 HU of a real scan, whose soft tissue is never moved.
        spacing_mm: of a voxel.
        rng: source of the draws.
    """
    kind = rng.random()
    lungs_too = rng.random() < _LUNGS_TOO_SHARE
    if volume.dtype != np.uint8:
        return _muscle_hu(volume, lungs_too, rng) if kind < _REAL_GONE_SHARE else volume
    if kind < _GONE_SHARE:
        soft = (volume != Tissue.AIR) & ~_SKELETON[volume]
        if not lungs_too:
            soft &= ~np.isin(volume, _AIR)
        return np.where(soft, np.uint8(Tissue.MUSCLE), volume)
    if kind < _GONE_SHARE + _MOVED_SHARE:
        shift = round(rng.normal(0.0, _MOVE_SD_MM) / spacing_mm)
        layers = np.clip(np.arange(volume.shape[2]) + shift, 0, volume.shape[2] - 1)
        moved = volume[:, :, layers]
        moved[_SKELETON[moved]] = Tissue.MUSCLE
        return np.where(_SKELETON[volume], volume, moved)
    return volume


def _muscle_hu(volume: np.ndarray, lungs_too: bool, rng: np.random.Generator) -> np.ndarray:
    soft = volume < _SOFT_HU
    if not lungs_too:
        soft &= volume > -400
    return np.where(soft, np.int16(rng.uniform(20, 70)), volume)
