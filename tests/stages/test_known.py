"""What the network has said of a place is used again when the chain is chosen anew."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.stages import segmentation

GRID = Grid.axis_aligned((0.0, 0.0, 0.0), (40, 40, 90), 1.0)
NETWORK = SimpleNamespace(config=SimpleNamespace(threshold=0.5))


def crop_of(vertebra: Centroid, config: object) -> Grid:
    return Grid.axis_aligned(vertebra.point_lps_mm, (32, 32, 32), 1.0)


def test_only_new_places_are_asked_for(monkeypatch) -> None:
    """One vertebra is renamed, one is dropped, one is new: the mask is that of a first look."""
    asked: list[int] = []

    def responses(image, vertebrae, network, at_once):
        for vertebra in vertebrae:
            asked.append(vertebra.label)
            crop = crop_of(vertebra, None)
            index = np.moveaxis(np.indices(crop.size), 0, -1)
            away = np.linalg.norm(crop.index_to_lps(index) - vertebra.point_lps_mm, axis=-1)
            yield vertebra.label, np.clip(1.2 - away / 24.0, 0, 1).astype(np.float32), crop

    monkeypatch.setattr(segmentation, "vertebra_responses", responses)
    monkeypatch.setattr(segmentation, "crop_grid", crop_of)
    image = Image.from_array(np.random.default_rng(0).integers(0, 90, GRID.size), GRID.affine_ras)
    places = [Centroid.at(label, (0.3, -0.2, z)) for label, z in ((20, 22), (21, 0.4), (22, -20))]
    again = [places[0], Centroid(22, places[1].point_lps_mm), Centroid.at(23, (0, 0, -24))]
    known: segmentation.Known = {}
    segmentation.segment_vertebrae(image, places, NETWORK, known=known)
    assert asked == [20, 21, 22] and len(known) == 3
    found = segmentation.segment_vertebrae(image, again, NETWORK, known=known)
    assert asked == [20, 21, 22, 23]
    np.testing.assert_array_equal(found, segmentation.segment_vertebrae(image, again, NETWORK))
    assert set(np.unique(found)) == {0, 20, 22, 23}
