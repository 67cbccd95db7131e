"""Posed bodies come back from a pool as they were packed."""

import numpy as np
import pytest

from models import PRESETS
from vertseg.errors import ConfigurationError
from vertseg.training.factory.packed import load_packed, pack_bodies
from vertseg.training.recipe import SourceVolume, recipe_for

RECIPE = recipe_for("spine", PRESETS["default"].spine)


def draw(rng: np.random.Generator) -> SourceVolume:
    volume = np.kron(rng.integers(0, 90, (4, 4, 4)), np.ones((4, 5, 6))).astype(np.uint8)
    points = {label: rng.uniform(0, 16, 3) for label in range(int(rng.integers(1, 4)))}
    bones = np.where(rng.random(volume.shape) < 0.01, 7, volume).astype(np.uint8)
    centre, wanted = rng.uniform(0, 16, 3), int(rng.integers(25))
    return SourceVolume(volume, points, centre, wanted, bones=bones)


def test_bodies_come_back_as_they_were(tmp_path) -> None:
    assert pack_bodies(RECIPE, draw, tmp_path, 40, seed=7) == 40
    found = load_packed(RECIPE, tmp_path)
    assert len(found) == 40
    for number, body in enumerate(found):
        wanted = draw(np.random.default_rng((7, number)))
        np.testing.assert_array_equal(body.volume, wanted.volume)
        np.testing.assert_array_equal(body.bones, wanted.bones)
        assert body.landmarks.keys() == wanted.landmarks.keys() and body.wanted == wanted.wanted
        for label, point in wanted.landmarks.items():
            np.testing.assert_allclose(body.landmarks[label], point, rtol=1e-6)
        np.testing.assert_allclose(body.centre, wanted.centre, rtol=1e-6)


def test_packing_goes_on_where_it_stopped_and_ends_when_the_files_are_full(tmp_path) -> None:
    assert pack_bodies(RECIPE, draw, tmp_path, 20) == 20
    (path,) = tmp_path.iterdir()
    assert pack_bodies(RECIPE, draw, tmp_path, 20) == 20
    most = int(3.5 * path.stat().st_size)
    assert pack_bodies(RECIPE, draw, tmp_path, 1000, most_bytes=most) == 60
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= most
    assert load_packed(recipe_for("vertebrae", PRESETS["default"].vertebrae), tmp_path) == []


def test_bodies_of_another_version_are_refused_with_what_to_do(tmp_path) -> None:
    pack_bodies(RECIPE, draw, tmp_path, 20)
    (path,) = tmp_path.iterdir()
    with np.load(path) as data:
        kept = {name: data[name] for name in data.files if name != "implanted"}
    np.savez(path, **kept)
    with pytest.raises(ConfigurationError, match=r"another version.*pack them again"):
        load_packed(RECIPE, tmp_path)
