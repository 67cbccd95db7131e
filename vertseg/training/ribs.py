"""The lowest ribs, which are of any length: from a stump beside the vertebra to the side wall."""

from __future__ import annotations

import numpy as np

from vertseg.phantom import Tissue
from vertseg.training.pose import Body

_SHORT_SHARE = 0.6
_SHORT_MM = {11: (70.0, 200.0), 12: (25.0, 130.0)}
"""How far a short rib reaches from the middle of its vertebra."""

_LEFT, _RIGHT = 100, 120


def trim_ribs(body: Body, rng: np.random.Generator) -> np.ndarray:
    """The labels (x, y, z) of `body` with short eleventh and twelfth ribs, each side for itself.

    What is cut off becomes muscle. The ribs of T13 count as twelfth ones.
    """
    labels = body.labels.copy()
    for rib, limits in _SHORT_MM.items():
        middle = body.landmarks.get(rib + 7, body.landmarks.get(28))
        for side in (_LEFT, _RIGHT):
            reach = rng.uniform(*limits)
            if rng.random() > _SHORT_SHARE or middle is None:
                continue
            voxels = np.argwhere(labels == side + rib)
            offset = body.origin_lps_mm[:2] + voxels[:, :2] * body.spacing_mm - middle[:2]
            far = voxels[np.linalg.norm(offset, axis=1) > reach]
            labels[tuple(far.T)] = Tissue.MUSCLE
    return labels
