"""Streaks of metal: where they are, which sign they have, and that nothing else is touched."""

import numpy as np
import pytest

from vertseg.phantom import Tissue
from vertseg.training.factory.implants import insert
from vertseg.training.factory.streaks import expand, metal_streaks
from vertseg.training.factory.tissue import METAL

SIZE = (96, 80, 12)


def two_rods() -> np.ndarray:
    labels = np.full(SIZE, Tissue.MUSCLE, np.uint8)
    for x in (30, 66):
        labels[x - 3 : x + 3, 37:43, 2:8] = METAL
    return labels


def on_grid(error: np.ndarray) -> np.ndarray:
    return np.einsum("xa,yb,abz->xyz", expand(SIZE[0]), expand(SIZE[1]), error, optimize=True)


def test_without_metal_there_are_none():
    labels = np.full(SIZE, Tissue.MUSCLE, np.uint8)
    assert not metal_streaks(labels, 1.0, np.random.default_rng(0)).any()


@pytest.mark.parametrize("seed", range(4))
def test_it_is_dark_between_two_pieces_and_only_in_their_slices(seed):
    hu = on_grid(metal_streaks(two_rods(), 1.5, np.random.default_rng(seed)))
    assert hu.shape == SIZE and np.isfinite(hu).all()
    assert not hu[:, :, :2].any() and not hu[:, :, 8:].any()
    between, elsewhere = hu[44:52, 38:42, 3:7].mean(), hu[44:52, 4:12, 3:7].mean()
    assert between < min(elsewhere, 0.0) - 1.0


def test_what_the_matrices_expand_keeps_its_place():
    ramp = np.arange(48.0)
    fine = expand(96) @ ramp
    assert fine[48] == pytest.approx(24.0 - 0.25) and fine[47] == pytest.approx(23.25)
    assert expand(96).sum(axis=1) == pytest.approx(1.0)


def test_fillings_lie_in_the_jaw():
    labels = np.full((60, 60, 60), Tissue.MUSCLE, np.uint8)
    labels[10:50, 5:12, 25:35] = Tissue.MANDIBLE
    points = {k: np.array([30.0, 45.0, 40.0 - 10 * k]) for k in (1, 2, 3)}
    with_fillings = 0
    for seed in range(40):
        metal = insert(labels, points, 2.0, np.random.default_rng(seed), False) == METAL
        with_fillings += metal.any()
        assert not metal[:, 16:].any()
    assert 3 < with_fillings < 20
