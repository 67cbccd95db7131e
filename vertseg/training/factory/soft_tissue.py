"""Soft tissue that says nothing of levels: gone, or moved along the spine.

There is one atlas. A network that may look at its organs, muscles and outline names every vertebra
by them, even with vertebrae, discs and ribs painted away, and is a level off in patients. Here the
skeleton alone keeps to its levels.

How deep the lungs reach: breath, effusions and collapsed lobes, in a label volume.
The lowest ribs, which are of any length: from a stump beside the vertebra to the side wall.
"""

from __future__ import annotations

import numpy as np

from vertseg.phantom import Tissue
from vertseg.training.factory.pose import Body
from vertseg.training.factory.tissue import BONES

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


_SHORT_SHARE = 0.6
_SHORT_MM = {11: (70.0, 200.0), 12: (25.0, 130.0)}
"""How far a short rib reaches from the middle of its vertebra."""

ANY_LENGTH = (0.0, 0.0)
"""Twelfth ribs of any length, each side for itself."""

_LEFT, _RIGHT = 100, 120


def trim_ribs(
    body: Body,
    rng: np.random.Generator,
    twelfth_mm: tuple[float, float] | None = ANY_LENGTH,
) -> np.ndarray:
    """The labels (x, y, z) of `body` with short eleventh and twelfth ribs, each side for itself.

    What is cut off becomes muscle. The ribs of T13 count as twelfth ones.

    Args:
        body: with whole ribs; it is not changed.
        rng: draws which ribs are short, and how short.
        twelfth_mm: between what limits both twelfth ribs reach from the middle of their vertebra;
            None leaves them whole.
    """
    labels = body.labels.copy()
    for rib, limits in _SHORT_MM.items():
        middle = body.landmarks.get(rib + 7, body.landmarks.get(28))
        for side in (_LEFT, _RIGHT):
            reach = rng.uniform(*limits)
            trimmed = rng.random() <= _SHORT_SHARE
            if rib == 12 and twelfth_mm != ANY_LENGTH:
                trimmed = twelfth_mm is not None
                reach = rng.uniform(*(twelfth_mm or limits))
            if not trimmed or middle is None:
                continue
            voxels = np.argwhere(labels == side + rib)
            offset = body.origin_lps_mm[:2] + voxels[:, :2] * body.spacing_mm - middle[:2]
            far = voxels[np.linalg.norm(offset, axis=1) > reach]
            labels[tuple(far.T)] = Tissue.MUSCLE
    return labels
