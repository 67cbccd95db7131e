"""Loss and picture of samples that a network never learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image as Pillow

from vertseg.report.drawing import overlay
from vertseg.training.loop.prefetch import Sample, stacked
from vertseg.training.loop.steps import compiled

_SEED = 90_001
_TARGET, _FOUND = 21, 16
"""Labels whose colours mark the target and what the network says."""
_ZOOM, _MARGIN = 3, 4


class Validation:
    """The same few samples, looked at again and again.

    Args:
        trainer: whose weights are used.
        draw: makes a sample.
        count: number of samples.
    """

    def __init__(
        self, trainer: keras.Model, draw: Callable[[np.random.Generator], Sample], count: int
    ) -> None:
        self._look = compiled(trainer)
        self._draws = [draw(np.random.default_rng((_SEED, number))) for number in range(count)]

    def __call__(self, picture: Path) -> float:
        """The mean loss; writes a picture, one row per sample (see `draw_rows`)."""
        looks = [self._look(stacked([draw])) for draw in self._draws]
        rows = [[volume[0] for volume in look[1:]] for look in looks]
        draw_rows(rows).save(picture)
        return float(np.mean([look[0] for look in looks]))


def draw_rows(samples: Sequence[Sequence[np.ndarray]]) -> Pillow.Image:
    """One row per sample: the side view with the target and with the output; then the front view.

    Args:
        samples: image in [-1, 1], target and map found in [0, 1], each (x, y, z).
    """
    rows = [_row(*sample) for sample in samples]
    height = sum(row.shape[0] + _MARGIN for row in rows)
    width = max(row.shape[1] for row in rows)
    canvas = np.zeros((height, width, 3), np.uint8)
    top = 0
    for row in rows:
        canvas[top : top + row.shape[0], : row.shape[1]] = row
        top += row.shape[0] + _MARGIN
    return Pillow.fromarray(canvas).resize(
        (_ZOOM * width, _ZOOM * height), Pillow.Resampling.NEAREST
    )


def _row(image: np.ndarray, target: np.ndarray, found: np.ndarray) -> np.ndarray:
    where = np.argwhere(target > 0.5)
    at = np.rint(where.mean(0)).astype(int) if len(where) else np.array(image.shape) // 2
    panels: list[np.ndarray] = []
    for axis in (0, 1):
        for volume, label in ((target, _TARGET), (found, _FOUND)):
            grey = np.clip((np.take(image, at[axis], axis) + 0.25) / 0.75 * 255, 0, 255)
            seen = (np.take(volume, at[axis], axis) > 0.5).astype(np.uint8) * np.uint8(label)
            rgb = np.repeat(_upright(grey).astype(np.uint8)[..., None], 3, axis=2)
            panels += [overlay(rgb, _upright(seen)), np.zeros((rgb.shape[0], _MARGIN, 3), np.uint8)]
    return np.concatenate(panels[:-1], axis=1)


def _upright(plane: np.ndarray) -> Any:
    """From (across, z) to rows from the head downwards."""
    return plane.T[::-1]
