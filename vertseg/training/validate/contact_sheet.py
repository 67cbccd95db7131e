"""Factory volumes and real scans side by side, made by the same code: can one tell them apart?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from keras import ops
from PIL import Image as Pillow
from PIL import ImageDraw
from scipy import ndimage

from models import PRESETS
from models.presets import HU_PER_UNIT
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, colour_of
from vertseg.report.drawing import font, lightened, overlay
from vertseg.training.data.real import draw_scan, load_masks, load_scans
from vertseg.training.factory.atlas import load_atlas
from vertseg.training.factory.bodies import draw_body
from vertseg.training.factory.courses import read_courses, split_by_patient
from vertseg.training.recipe import Recipe, SourceVolume
from vertseg.training.sample.appearance import NoiseBank
from vertseg.training.sample.draws import draw_sample
from vertseg.training.sample.synthesis import nearest_labels, render
from vertseg.training.volumes import RealVolume

_SPACING_MM = 1.8
_SIZE = (96, 96, 144)
_SOURCE = (1.5, (136, 136, 200))
_WINDOW_HU = (-250.0, 900.0)
_COLUMNS, _MARGIN, _HEADING = 3, 6, 30
_ZOOM = 2
"""Pixels a voxel, so that contours hide little."""
_GRAFTS = 0.3
"""Share of the factory volumes that hold real vertebrae."""


def draw_sheet(data: Path, count: int = 24, seed: int = 0) -> Pillow.Image:
    """`count` factory volumes on the left, on the right as many windows of real scans.

    Each from the side, from the front and from above, through a vertebra; labels of the factory
    are drawn as contours, points of the scans as dots.

    Args:
        data: folder with ``atlas/``, ``ct/``, ``masks/`` and the centroid tables.
        count: of volumes on either side.
        seed: of the first volume.
    """
    spacing, source_size = _SOURCE
    config = PRESETS["default"].vertebrae
    config = config.__class__(config.network, _SIZE, _SPACING_MM, smoothing_sigma_mm=0.5)
    recipe = Recipe("vertebrae", config, _SIZE, spacing, source_size, augmentation=0.7)
    atlas = load_atlas(data / "atlas")
    courses, _ = split_by_patient(read_courses(data))
    masks = load_masks(data, spacing)
    scans = load_scans(data, spacing, hold_out=())

    def body(rng: np.random.Generator) -> SourceVolume:
        graft: RealVolume | None = None
        if masks and rng.random() < _GRAFTS:
            graft = masks[rng.integers(len(masks))]
        return draw_body(recipe, courses, atlas, rng, graft)

    sides: list[tuple[str, Callable[[np.random.Generator], SourceVolume]]] = [("factory", body)]
    if scans:
        sides.append(("real scans", lambda rng: draw_scan(recipe, scans, rng)))
    bank = NoiseBank(source_size)
    blocks = []
    for title, draw in sides:
        generators = [np.random.default_rng((seed, number)) for number in range(count)]
        blocks.append(_block(title, [_views(recipe, draw, bank, rng) for rng in generators]))
    return Pillow.fromarray(np.concatenate(blocks, axis=1))


def _views(
    recipe: Recipe,
    draw: Callable[[np.random.Generator], SourceVolume],
    bank: NoiseBank,
    rng: np.random.Generator,
) -> np.ndarray:
    """The three planes of one volume in a row, RGB."""
    source = draw(rng)
    sample = draw_sample(recipe, source, bank, rng)
    painted = bool(sample["painted"])
    image, coords = (ops.convert_to_numpy(a) for a in render(sample))
    points = {label: _nearest(coords, point) for label, point in source.landmarks.items()}
    inside = {label: at for label, at in points.items() if at is not None}
    middle = inside[sorted(inside)[len(inside) // 2]] if inside else np.array(image.shape) // 2
    labels = np.zeros(image.shape, np.uint8)
    if painted:
        found = ops.convert_to_numpy(nearest_labels(coords, sample))
        labels = np.where(np.isin(found, ORDER_CRANIAL_TO_CAUDAL), found, 0).astype(np.uint8)
    low, high = _WINDOW_HU
    grey = np.clip((image * HU_PER_UNIT - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    panels = []
    for axis in range(3):
        plane = ndimage.zoom(_upright(np.take(grey, middle[axis], axis), axis), _ZOOM, order=1)
        shown = _upright(np.take(labels, middle[axis], axis), axis)
        rgb = np.repeat(plane[..., None], 3, axis=2)
        rgb = contours(rgb, shown.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1))
        if not painted:
            _dots(rgb, inside, middle, axis, image.shape)
        panels.append(np.pad(rgb, ((0, _ZOOM * _SIZE[2] - rgb.shape[0]), (0, 2), (0, 0))))
    return np.concatenate(panels, axis=1)


def _nearest(coords: np.ndarray, point: np.ndarray) -> np.ndarray | None:
    """The voxel whose source coordinates are nearest to `point`; None if that is outside."""
    square = sum((coords[a] - point[a]) ** 2 for a in range(3))
    at = np.array(np.unravel_index(int(np.argmin(square)), square.shape))
    return at if square.min() < 4.0 else None


def _upright(plane: np.ndarray, axis: int) -> np.ndarray:
    """Rows from the head downwards, from above from the front backwards."""
    return plane.T[::-1] if axis < 2 else plane.T


def contours(rgb: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Edges of labels (x, y) only, as RGB (x, y, 3): the bone inside is to be judged."""
    drawn = overlay(rgb, labels)
    inner = labels.copy()
    for axis in (0, 1):
        for shift in (1, -1):
            inner[np.roll(labels, shift, axis) != labels] = 0
    return np.where((inner > 0)[..., None], rgb, drawn)


def _dots(
    rgb: np.ndarray,
    points: Mapping[int, np.ndarray],
    middle: np.ndarray,
    axis: int,
    size: Sequence[int],
) -> None:
    """Points near the plane, in the colours of their labels."""
    across, along = [a for a in range(3) if a != axis]
    for label, at in points.items():
        if abs(at[axis] - middle[axis]) > 8:
            continue
        row = size[along] - 1 - at[along] if axis < 2 else at[along]
        top, left = _ZOOM * row, _ZOOM * at[across]
        rgb[max(top - 1, 0) : top + 3, max(left - 1, 0) : left + 3] = lightened(colour_of(label))


def _block(title: str, rows: list[np.ndarray]) -> np.ndarray:
    """Volumes in columns under a heading."""
    height, width = rows[0].shape[0] + _MARGIN, rows[0].shape[1] + _MARGIN
    lines = -(-len(rows) // _COLUMNS)
    canvas = np.full((_HEADING + lines * height, _COLUMNS * width + _MARGIN, 3), 40, np.uint8)
    for number, row in enumerate(rows):
        top = _HEADING + number // _COLUMNS * height
        left = number % _COLUMNS * width
        canvas[top : top + row.shape[0], left : left + row.shape[1]] = row
    picture = Pillow.fromarray(canvas)
    ImageDraw.Draw(picture).text((8, 5), title, (255, 255, 255), font(18, bold=True))
    return np.asarray(picture)
