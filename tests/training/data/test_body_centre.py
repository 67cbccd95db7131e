"""Centres of bodies that are found in masks, against those of the parametric phantom."""

import numpy as np
import pytest

from vertseg.phantom import make_phantom
from vertseg.training.data.real_files import whole_vertebrae


@pytest.mark.parametrize("levels", [("C2", "T4"), ("T8", "L5")])
@pytest.mark.parametrize("hollow", [False, True])
def test_centres_of_bodies_are_found_in_their_masks(levels, hollow):
    phantom = make_phantom(levels, 1.5, 3, field_mm=(140.0, 150.0), noise_hu=0.0)
    mask = phantom.vertebra_mask()
    true = {c.label: phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids}
    if hollow:
        for point in true.values():
            x, y, z = np.rint(point).astype(int)
            mask[x - 1 : x + 2, y - 2 : y + 1, z - 1 : z + 2] = 0
    found = whole_vertebrae(mask)
    assert len(found) > 5
    for label, centre in found.items():
        assert np.linalg.norm(centre - true[label]) * 1.5 < 1.5, label


def test_c1_has_its_centre_in_the_ring():
    labels = np.zeros((12, 12, 6), np.uint8)
    labels[2:10, 2:10, 2:4] = 1
    labels[4:8, 4:8, 2:4] = 0
    np.testing.assert_allclose(whole_vertebrae(labels)[1], (5.5, 5.5, 2.5))
