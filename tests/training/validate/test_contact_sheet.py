"""The picture of factory volumes, on an atlas made from the phantom."""

import csv

import numpy as np

from vertseg.phantom import make_phantom
from vertseg.training.factory.atlas import LEVEL_NAMES, PACKED
from vertseg.training.validate.contact_sheet import contours, draw_sheet


def write_data(folder):
    """An atlas and two courses, of two patients."""
    phantom = make_phantom(("C1", "sacrum"), 5.0, 1, field_mm=(150.0, 150.0), noise_hu=0.0)
    centres = np.array([c.point_lps_mm for c in phantom.centroids])
    (folder / "atlas").mkdir()
    np.savez(
        folder / "atlas" / PACKED, labels=phantom.labels, spacing_mm=5.0,
        origin=np.array(phantom.grid.origin), centres=centres,
    )  # fmt: skip
    with (folder / "centroids_vid.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["scan", "source", "level", "x_lps_mm", "y_lps_mm", "z_lps_mm"])
        for patient in ("a", "b"):
            for name, point in zip(LEVEL_NAMES, centres, strict=True):
                writer.writerow([patient, f"{patient}/scan", name, *point])


def test_factory_volumes_are_drawn_with_their_contours(tmp_path):
    write_data(tmp_path)
    sheet = np.asarray(draw_sheet(tmp_path, count=2)).astype(int)
    coloured = np.ptp(sheet, axis=2) > 60
    first, second = coloured[:, : coloured.shape[1] // 3], coloured[:, coloured.shape[1] // 3 :]
    assert first.sum() > 300 and second.sum() > 300
    assert len(np.unique(sheet)) > 100


def test_contours_leave_the_inside_as_it_is():
    grey = np.full((12, 12, 3), 90, np.uint8)
    labels = np.zeros((12, 12), np.uint8)
    labels[2:10, 2:10] = 20
    drawn = contours(grey, labels)
    assert (drawn[3:9, 3:9] == 90).all() and (drawn[:2] == 90).all()
    assert (drawn[2, 2:10] != 90).any(axis=1).all()
