"""Filling a volume from chunks of stored values."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vertseg.geometry.grid import Grid
from vertseg.io.hounsfield import AIR_HU
from vertseg.io.image import assemble_image
from vertseg.io.stored import StoredForm


def test_chunks_of_any_size_come_to_their_places() -> None:
    values = np.arange(60, dtype=np.float64)
    values[[3, 40]] = np.nan
    values[[7, 58]] = 1e9
    ends = [0, 5, 6, 30, 31, 45, 60]
    chunks = [values[a:b] for a, b in pairwise(ends)]
    grid = Grid((3, 4, 5), np.eye(4))
    image = assemble_image(
        chunks, values.dtype, (2.0, -50.0), grid, StoredForm.of_grid(grid), (), "scan"
    )
    expected = 2.0 * values - 50.0
    expected[[3, 40]], expected[[7, 58]] = AIR_HU, 2**15 - 1
    np.testing.assert_array_equal(image.array.ravel(order="F"), expected)
    assert [text.split(" voxels")[0] for text in image.warnings[:2]] == ["2", "2"]
