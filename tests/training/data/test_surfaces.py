"""Surfaces of vertebrae: what they enclose, and masks of them."""

import numpy as np
import pytest

trimesh = pytest.importorskip("trimesh")

from vertseg.errors import ConfigurationError  # noqa: E402
from vertseg.training.data import surfaces as module  # noqa: E402
from vertseg.training.data.surfaces import fill_surface, read_surfaces  # noqa: E402


def test_the_voxels_of_a_ring_are_those_inside_its_tube():
    """A torus, tilted, so that lines cross it up to four times."""
    ring = trimesh.creation.torus(major_radius=9.0, minor_radius=3.0)
    tilt = trimesh.transformations.rotation_matrix(0.7, (1.0, 0.4, 0.0))
    at = np.array([14.3, 13.6, 12.2])
    ring.apply_transform(tilt)
    filled = fill_surface(np.asarray(ring.vertices) + at, np.asarray(ring.faces), (29, 28, 26))
    places = np.moveaxis(np.indices(filled.shape), 0, -1) - at
    x, y, z = np.moveaxis(places @ tilt[:3, :3], -1, 0)
    depth = 3.0 - np.hypot(np.hypot(x, y) - 9.0, z)
    assert filled[depth > 0.15].all() and not filled[depth < -0.05].any()


def test_edges_that_lie_on_voxels_are_no_trouble():
    block = trimesh.creation.box(bounds=((2, 3, 1), (6, 8, 5)))
    filled = fill_surface(np.asarray(block.vertices, float), block.faces, (9, 10, 8))
    assert filled.sum() == 4 * 5 * 4


@pytest.fixture
def atlas(tmp_path):
    """Two vertebrae of a person, which meet, and a pelvis; and those of the atlas itself."""
    for folder in ("meshes", "meshes_person"):
        (tmp_path / folder).mkdir()
        for name, low in (("L3", 40.0), ("L4", 4.0), ("Pelvis", -40.0)):
            body = trimesh.creation.box(bounds=((-20, 0, low), (22, 30, low + 37)))
            body.export(tmp_path / folder / f"{name}.ply")
            arch = trimesh.creation.box(bounds=((-4, -30, low), (6, -1, low + 8)))
            both = trimesh.util.concatenate([body, arch])
            both.export(tmp_path / folder / f"{name}.ply")
    return tmp_path


def test_a_set_of_surfaces_is_a_mask_in_lps(atlas):
    (person,) = read_surfaces(atlas, 1.0)
    assert person.name == "person" and sorted(person.landmarks) == [22, 23]
    upper, lower = person.landmarks[22], person.landmarks[23]
    np.testing.assert_allclose(upper - lower, (0, 0, 36.0), atol=0.6)
    for label, point in person.landmarks.items():
        voxels = np.argwhere(person.volume == label)
        behind = voxels[voxels[:, 1] > point[1] + 20]  # the arch
        assert 0 < len(behind) < 0.2 * len(voxels)
        assert behind[:, 0].mean() == pytest.approx(point[0], abs=0.6)
        assert behind[:, 2].mean() < point[2] - 10
    assert (person.volume == 22).sum() == pytest.approx((person.volume == 23).sum(), rel=0.03)
    assert set(np.unique(person.volume)) == {0, 22, 23}
    assert not read_surfaces(atlas, 1.0, hold_out=["person"])


def test_a_missing_package_is_said(atlas, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="trimesh"):
        read_surfaces(atlas, 1.0)
