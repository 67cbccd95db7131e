"""Where implants lie in vertebrae: in view, through pedicles, beside the canal."""

import numpy as np
import pytest

from vertseg.phantom import Tissue, make_phantom
from vertseg.training.factory import instrumentation as module
from vertseg.training.factory.instrumentation import instrument, segment
from vertseg.training.factory.tissue import METAL

SPACING_MM = 1.5


@pytest.fixture(scope="module", params=[("C3", "C7"), ("T6", "T10"), ("T12", "L5")])
def spine(request):
    """Labels and landmarks of a phantom."""
    phantom = make_phantom(request.param, SPACING_MM, 2, field_mm=(120.0, 130.0), noise_hu=0.0)
    points = {c.label: phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids}
    return phantom.labels, points


def drawn(spine, seed):
    labels, points = spine
    changed = labels.copy()
    instrument(changed, points, SPACING_MM, np.random.default_rng(seed))
    return changed == METAL


@pytest.mark.parametrize("seed", range(4))
def test_screws_pass_the_pedicles_into_the_bodies(spine, seed, monkeypatch):
    monkeypatch.setattr(module, "PLATE_SHARE", 0.0)
    labels, points = spine
    metal = drawn(spine, seed)
    held = [label for label in points if (metal & (labels == label)).sum() > 8]
    assert len(held) > 1
    for label in held:
        screw = np.argwhere(metal & (labels == label))
        assert screw[:, 1].min() < points[label][1] + 3.0  # in the body
    assert (metal & (labels == Tissue.CORD)).sum() <= 0.02 * metal.sum()
    for side in (-1, 1):
        middle = np.mean([p[0] for p in points.values()])
        assert (side * (np.argwhere(metal)[:, 0] - middle) > 3.0).any()


def test_plates_lie_on_the_front_of_bodies(monkeypatch):
    monkeypatch.setattr(module, "PLATE_SHARE", 1.0)
    phantom = make_phantom(("C3", "C7"), SPACING_MM, 2, field_mm=(120.0, 130.0), noise_hu=0.0)
    points = {c.label: phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids}
    metal = drawn((phantom.labels, points), 1)
    y = np.argwhere(metal)[:, 1]
    assert metal.any() and y.max() < max(p[1] for p in points.values()) + 6.0
    assert (metal & (phantom.labels > 0) & (phantom.labels < 8)).any()  # the screws
    outside = metal & ~((phantom.labels > 0) & (phantom.labels < 8))
    assert outside.sum() > 20  # the plate


@pytest.mark.parametrize("seed", range(6))
def test_what_is_instrumented_is_in_view(spine, seed):
    """The window shows the middle of a column that goes on far above and below."""
    labels, points = spine
    step = np.array([0.0, 0.0, labels.shape[2]])
    far = {1: points[min(points)] + step, 25: points[max(points)] - step} | points
    assert drawn((labels, far), seed).any()


def test_a_rod_is_as_thick_as_its_radius_says():
    labels = np.zeros((15, 15, 40), np.uint8)
    segment(labels, np.array([7.0, 7.0, 5.0]), np.array([7.0, 7.0, 34.0]), 3.0)
    assert (labels[:, :, 20] == METAL).sum() == 29  # points of a disc of radius 3
    assert not labels[:, :, 1].any() and labels[7, 7, 2] == METAL
