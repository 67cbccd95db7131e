"""Windows that are drawn from real scans."""

import numpy as np

from vertseg.training.data.real import draw_scan
from vertseg.training.presets import TOY
from vertseg.training.recipe import recipe_for
from vertseg.training.volumes import RealVolume


def scan(name, labels):
    """A scan that shows some levels, every fourth voxel."""
    height = 4 * len(labels)
    points = {x: np.array([8.0, 8.0, height - 2.0 - 4 * n]) for n, x in enumerate(labels)}
    return RealVolume(name, np.zeros((16, 16, height), np.int16), points)


def test_many_scans_of_necks_do_not_crowd_out_a_lumbar_one():
    scans = [scan(f"neck{n}", range(1, 6)) for n in range(19)] + [scan("back", range(20, 25))]
    rng, recipe = np.random.default_rng(0), recipe_for("vertebrae", TOY.vertebrae)
    drawn = [draw_scan(recipe, scans, rng).landmarks.keys() for _ in range(200)]
    assert 70 < sum(24 in landmarks for landmarks in drawn) < 130
