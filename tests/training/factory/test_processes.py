"""Spinous processes of a patient."""

import numpy as np

from vertseg.training.factory.anatomy import draw_anatomy
from vertseg.training.factory.pose import pose
from vertseg.training.factory.processes import process_axes


def _lordotic(points: np.ndarray, deg_a_level: float) -> np.ndarray:
    """The course (24, 3) with C1-C7 bent backward by so much at each level."""
    steps = np.diff(points, axis=0)
    for level in range(6):
        angle = np.deg2rad(deg_a_level * (6 - level))
        turn = [[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]]
        steps[level] = np.array(turn) @ steps[level]
    return np.concatenate([points[-1:] - np.cumsum(steps[::-1], axis=0)[::-1], points[-1:]])


def _axes(anatomy, atlas):
    return process_axes(anatomy.shapes, anatomy.to_shape, anatomy.pitch, anatomy.stretch, atlas)


def test_processes_of_a_neck_bent_backward_do_not_pass_through_each_other(atlas):
    """Upper tips stay above lower ones by no less than bones are high."""
    bent = _lordotic(atlas.centres_lps_mm, 6.0)
    for seed in range(10):
        anatomy = draw_anatomy(bent, atlas, np.random.default_rng(seed), "usual")
        tips = bent + _axes(anatomy, atlas)
        gaps = np.linalg.norm(np.diff(tips, axis=0), axis=1)
        steps = np.linalg.norm(np.diff(bent, axis=0), axis=1)
        assert (gaps[1:9] > 0.5 * steps[1:9]).all(), np.round(gaps / steps, 2)
        assert (np.diff(tips[1:9, 2]) < 0).all()


def test_the_axes_end_at_the_posed_tips(atlas):
    anatomy = draw_anatomy(atlas.centres_lps_mm, atlas, np.random.default_rng(1), "usual")
    size = np.array(atlas.labels.shape)
    body = pose(anatomy, atlas, atlas.origin_lps_mm, size, atlas.spacing_mm)
    axes = _axes(anatomy, atlas)
    off = []
    for level in range(2, 16):
        voxels = np.argwhere(body.labels == level + 1) * atlas.spacing_mm + atlas.origin_lps_mm
        tip = voxels[voxels[:, 1] >= np.quantile(voxels[:, 1], 0.97)].mean(0)
        off.append(np.linalg.norm(tip - body.landmarks[level + 1] - axes[level]))
    assert np.median(off) < 8.0, np.round(off, 1)
