"""What one draw becomes inside the graph: the image, and the targets of the network.

Every function takes one draw (see `draw.py`) and returns arrays by name; ``image`` is (X, Y, Z,
channels), in [-1, 1].
"""

from __future__ import annotations

import numpy as np
from keras import ops

from vertseg.phantom.tissues import Tissue, rib_label
from vertseg.training.factory.tissue import BONES
from vertseg.training.sample.draw import Draw
from vertseg.training.sample.synthesis import (
    gaussian,
    in_view,
    landmark_distances,
    nearest_labels,
    render,
    sample_linear,
)

_OTHER_BONES = 4
_TISSUE_LABELS = {
    1: (*range(1, 26), 28),
    2: (Tissue.DISC,),
    3: (Tissue.SACRUM, Tissue.COCCYX),
    5: (rib_label(1, -1), rib_label(1, 1)),
    6: tuple(rib_label(rib, side) for rib in range(2, 12) for side in (-1, 1)),
    7: (rib_label(12, -1), rib_label(12, 1)),
}
"""Vertebrae, and what names them: the first and the last rib stand for themselves. 0 is no bone."""

TISSUES = 8
"""Classes of `_tissues`."""

_CROSS = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]).astype(np.int32)
"""A voxel and its six neighbours."""

_NEAR = 0.7
"""Height of the Gaussian at the nearest voxel from which a landmark lies in the grid."""


def spine_sample(draw: Draw):
    """``target`` (X, Y, Z): one map of all vertebrae; ``weight``: 0 around doubtful ones."""
    image, coords = render(draw)
    target, weight = _seen_and_sure(landmark_distances(coords, draw), draw)
    return {"image": image[..., None], "target": target, "weight": weight}


def vertebrae_sample(draw: Draw):
    """Where a vertebra is, of whatever label, and which label it has at its centre.

    A state of 1 is a vertebra in view, 2 one of unknown label, 0 one out of view, and -1 one that
    may or may not be seen; there nothing is asked.

    Returns:
        ``target`` and ``weight`` (X, Y, Z) as for the spine; ``around`` (labels, 7): flat voxels
        at and around each centre; ``known`` (labels,): whether the label is asked for there;
        ``tissues`` (X, Y, Z): classes, -1 where they are not known.
    """
    image, coords = render(draw)
    squares = landmark_distances(coords, draw)
    target, weight = _seen_and_sure(squares, draw)
    peaks = gaussian(ops.min(squares, axis=(0, 1, 2)), draw)
    tissues = _tissues(nearest_labels(coords, draw))
    return {
        "image": image[..., None],
        "target": target,
        "weight": weight,
        "around": _around(squares),
        "known": ops.cast(ops.logical_and(draw["state"] == 1, peaks > _NEAR), "float32"),
        "tissues": ops.where(draw["painted"] > 0, tissues, -1),
    }


def segmentation_sample(draw: Draw):
    """``target`` (X, Y, Z): share of the vertebra that the second channel marks.

    The share, and not whether it is more than half: a response that says where in its voxel the
    border runs gives a smoother mask on the scan's finer grid.
    """
    image, coords = render(draw)
    marker = gaussian(landmark_distances(coords, draw), draw)
    mask = sample_linear(ops.cast(draw["mask"], "float32") / 255.0, coords)
    target = mask * ops.cast(in_view(coords, draw), "float32")
    image = ops.concatenate([image[..., None], marker], axis=-1)
    return {"image": image, "target": target}


def _seen_and_sure(squares, draw: Draw):
    """One map of all vertebrae in view, and 0 around those that may or may not be, else 1."""

    def highest(chosen):
        """The largest Gaussian of the chosen landmarks: that of the nearest one."""
        others = ops.cast(ops.logical_not(chosen), "float32")
        return gaussian(ops.min(squares + 1e9 * others, axis=-1), draw)

    state = draw["state"]
    return highest(state > 0), 1.0 - ops.minimum(8.0 * highest(state < 0), 1.0)


def _around(squares):
    """Flat voxels at and around the one nearest to every landmark: int32 (labels, 7)."""
    size = np.array(squares.shape[:3])
    voxel = ops.argmin(ops.reshape(squares, (-1, squares.shape[-1])), axis=0)
    voxel = ops.stack(ops.unravel_index(voxel, tuple(size)), axis=-1)
    points = ops.cast(voxel, "int32")[:, None] + _CROSS
    points = ops.clip(points, 0, size - 1)
    return ops.sum(points * np.array([size[1] * size[2], size[2], 1], np.int32), axis=-1)


def _tissues(labels):
    """Classes of labels: those of `_TISSUE_LABELS`, other bones, 0 else; -1 unknown."""
    table = np.zeros(256, np.int32)
    table[list(BONES)] = _OTHER_BONES
    for number, members in _TISSUE_LABELS.items():
        table[list(members)] = number
    return ops.where(labels >= 0, ops.take(table, ops.clip(labels, 0, 255)), -1)
