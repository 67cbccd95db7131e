"""A scan of one window is looked at in several sizes, whose maps are put back into one."""

from dataclasses import replace

import numpy as np

from models import PRESETS
from tests.stages.test_growth import region_of
from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.stages import vertebrae
from vertseg.stages.preprocess import resample

CONFIG = replace(PRESETS["default"].vertebrae, smoothing_sigma_mm=0.0)


class Mirror:
    """A network whose only map is what it sees; counts how often it is asked."""

    config = replace(CONFIG, labels=(20,))

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, batch):
        self.asked += 1
        return batch.copy()


def smooth_scan(length_mm: float) -> Image:
    size = (60, 60, int(length_mm / 4))
    grid = Grid.axis_aligned((0.0, 0.0, 0.0), size, (4.0, 4.0, 4.0))
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    values = 400 * np.cos(axes[1] + 1) * np.cos(3 * axes[2]) + 0 * axes[0]
    return Image.from_array(values.astype(np.int16), grid.affine_ras)


def predicted(length_mm: float):
    image, network = smooth_scan(length_mm), Mirror()
    ends = [np.array([0.0, 0.0, z]) for z in np.linspace(-0.4, 0.4, 9) * length_mm]
    heatmap, grid = vertebrae.predict_heatmaps(image, region_of(ends), network)
    expected = resample(image, grid, 0.0)
    inner = np.s_[12:-12, 12:-12, 30:-30]  # where the scan is in every size
    return network.asked, heatmap[..., 0][inner], expected[inner]


def test_what_is_seen_in_several_sizes_comes_back_to_its_place():
    asked, heatmap, expected = predicted(160.0)
    assert asked == len(vertebrae.SCALES) == 3
    assert np.abs(heatmap - expected).max() < 0.02 * np.ptp(expected)


def test_long_scans_are_looked_at_once():
    asked, heatmap, expected = predicted(500.0)
    assert asked == 2  # tiles
    assert np.abs(heatmap - expected).max() < 1e-6


def test_the_scale_itself_changes_nothing():
    np.testing.assert_array_equal(vertebrae.rescaling_matrix(7, 1.0), np.eye(7, dtype=np.float32))
    wider = vertebrae.rescaling_matrix(40, 0.93)
    assert (wider[0] == 0).all() and (wider[-1] == 0).all()  # 0.93 reaches less far
    ramp = np.arange(40.0)
    inner = wider.sum(1) > 0.999
    expected = (ramp - 19.5) / 0.93 + 19.5
    np.testing.assert_allclose((wider @ ramp)[inner], expected[inner], atol=1e-4)
