"""Filling a volume from chunks of stored values."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from vertseg.geometry.grid import Grid
from vertseg.io import image as image_module
from vertseg.io.hounsfield import AIR_HU
from vertseg.io.image import assemble_image
from vertseg.io.stored import StoredForm


def test_chunks_of_any_size_are_converted_at_once_and_come_to_their_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.arange(60, dtype=np.float64)
    values[[3, 40]] = np.nan
    values[[7, 58]] = 1e9
    ends = [0, 5, 6, 30, 31, 45, 60]
    chunks = [values[a:b] for a, b in pairwise(ends)]
    grid = Grid((3, 4, 5), np.eye(4))
    meet, convert = threading.Barrier(2), image_module._convert

    def together(*arguments: Any) -> tuple[int, int]:
        meet.wait(timeout=10.0)
        return convert(*arguments)

    monkeypatch.setattr(image_module, "_convert", together)
    image = assemble_image(
        chunks, values.dtype, (2.0, -50.0), grid, StoredForm.of_grid(grid), (), "scan"
    )
    expected = 2.0 * values - 50.0
    expected[[3, 40]], expected[[7, 58]] = AIR_HU, 2**15 - 1
    np.testing.assert_array_equal(image.array.ravel(order="F"), expected)
    assert [text.split(" voxels")[0] for text in image.warnings[:2]] == ["2", "2"]
