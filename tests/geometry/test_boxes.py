"""Boxes around labels agree with scipy's, wherever the labels lie and however they are stored."""

import numpy as np
import pytest
from scipy import ndimage

from vertseg.geometry.boxes import empty_labels, label_boxes
from vertseg.geometry.grid import Grid


@pytest.mark.parametrize("order", ["C", "F"])
def test_boxes_are_those_of_scipy(order: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        labels = np.zeros((7, 9, 11), np.uint8, order=order)
        for label in rng.choice(30, 3, replace=False) + 1:
            first = rng.integers(0, labels.shape)
            last = first + rng.integers(0, 4, 3)
            labels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = label
        expected = ndimage.find_objects(labels)
        wanted = {number: box for number, box in enumerate(expected, start=1) if box is not None}
        assert label_boxes(labels) == wanted


def test_an_empty_mask_has_no_boxes() -> None:
    empty = empty_labels(Grid((4, 5, 6), np.eye(4)))
    assert empty.flags.f_contiguous and empty.dtype == np.uint8
    assert label_boxes(empty) == {}
