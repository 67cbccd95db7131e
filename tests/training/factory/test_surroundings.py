"""Soft tissue that is hidden or moved in training; the skeleton stays."""

import numpy as np
import pytest

from vertseg.phantom import Tissue
from vertseg.training.factory.soft_tissue import unsettle
from vertseg.training.factory.tissue import METAL

SKELETON = (19, 28, Tissue.DISC, Tissue.SACRUM, Tissue.RIB_LEFT, Tissue.SKULL, METAL)


@pytest.fixture(scope="module")
def labels():
    """Fat below liver below lung beside air, and a column of every bone through all."""
    volume = np.full((20, 20, 60), Tissue.FAT, np.uint8)
    volume[:, :, 20:] = Tissue.LIVER
    volume[:, :, 40:] = Tissue.LUNG
    volume[:2] = Tissue.AIR
    for place, bone in enumerate(SKELETON):
        volume[4 + 2 * place, 10, 5:55] = bone
    return volume


def test_the_skeleton_stays_and_soft_tissue_goes_or_moves(labels):
    bones = np.isin(labels, SKELETON)
    gone = kept = lungs = 0
    moved = set()
    for seed in range(80):
        result = unsettle(labels, 2.0, np.random.default_rng(seed))
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(np.isin(result, SKELETON), bones)
        np.testing.assert_array_equal(result[bones], labels[bones])
        np.testing.assert_array_equal(result[:2], 0)
        kept += np.array_equal(result, labels)
        if not np.isin(result, (Tissue.LIVER, Tissue.FAT)).any():
            gone += 1
            lungs += (result == Tissue.LUNG).any()
        else:
            column = result[3, 0]
            moved.add(int((column == Tissue.FAT).sum()))
    assert gone > 10 and kept > 10 and 0 < lungs < gone
    assert len(moved) > 10 and min(moved) < 10 and max(moved) > 30


def test_in_real_scans_soft_tissue_becomes_muscle_or_stays():
    scan = np.random.default_rng(1).integers(-1000, 1000, (8, 8, 8)).astype(np.int16)
    same = hidden = 0
    for seed in range(40):
        result = unsettle(scan, 2.0, np.random.default_rng(seed))
        bone = scan >= 110
        np.testing.assert_array_equal(result[bone], scan[bone])
        if np.array_equal(result, scan):
            same += 1
        else:
            hidden += 1
            assert len(np.unique(result[(scan < 110) & (scan > -400)])) == 1
    assert same > 20 and hidden > 3
