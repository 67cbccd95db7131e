"""Posed bodies as a source of samples.

Real vertebrae, known only as masks, in the atlas's body: a second source of shapes.

The atlas is posed along the mask's own course, so that ribs, muscles and the vertebrae that the
mask does not show lie where they belong; then the mask's vertebrae take the place of the atlas's.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from vertseg.phantom import Tissue
from vertseg.training.factory import implants
from vertseg.training.factory.anatomy import Anatomy, draw_anatomy
from vertseg.training.factory.atlas import Atlas
from vertseg.training.factory.courses import LEVELS, Course, complete, drift
from vertseg.training.factory.marrow import behind_bodies
from vertseg.training.factory.pose import pose
from vertseg.training.factory.soft_tissue import breathe, trim_ribs
from vertseg.training.factory.wear import degenerate
from vertseg.training.recipe import Recipe, SourceVolume
from vertseg.training.volumes import RealVolume, along_spine, window

_MIXED_SHARE = 0.4
"""Share of bodies with mixed shapes in stages that do not tell vertebrae apart."""


def draw_body(
    recipe: Recipe,
    courses: list[Course],
    atlas: Atlas,
    rng: np.random.Generator,
    graft: RealVolume | None = None,
) -> SourceVolume:
    """A posed body around a random point of its spine, with the vertebrae of `graft` if given."""
    spacing = recipe.source_spacing_mm
    mixed = recipe.stage == "vertebrae" or rng.random() < _MIXED_SHARE
    if graft is None:
        points = drift(complete(courses[rng.integers(len(courses))], courses, rng), rng)
        anatomy = draw_anatomy(points, atlas, rng, mixed_shapes=mixed)
        level = _draw_level(recipe, anatomy.labels.tolist(), rng)
    else:
        points = course_of(graft, spacing, courses, rng)
        anatomy = draw_anatomy(points, atlas, rng, "usual", mixed)
        level = int(rng.choice(recipe.wanted(graft.landmarks))) - 1
    origin, middle = _draw_window(recipe, anatomy, level, rng)
    body = pose(anatomy, atlas, origin, recipe.source_size, spacing)
    labels = breathe(trim_ribs(body, rng), spacing, rng)
    place = {k: (p - origin) / spacing for k, p in body.landmarks.items()}
    if graft is not None:
        start = np.rint(origin / spacing).astype(int)
        labels = insert_graft(labels, graft, start, spacing)
        place |= {k: p - start for k, p in graft.landmarks.items()}
    labels, place = degenerate(labels, place, spacing, rng)
    bones, labels = labels, implants.insert(labels, place, spacing, rng)
    label = int(anatomy.labels[level])
    if recipe.stage == "segmentation":
        middle = place[label] + np.array(recipe.config.shift_at(label)) / spacing
    return SourceVolume(labels, place, middle, label, bones=bones)


def _draw_level(recipe: Recipe, labels: list[int], rng: np.random.Generator) -> int:
    """The place in `labels` of one that samples are made of."""
    wanted = set(recipe.wanted(labels))
    places = [place for place, label in enumerate(labels) if label in wanted]
    return places[rng.integers(len(places))]


def _draw_window(
    recipe: Recipe, anatomy: Anatomy, level: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Origin of the source grid in mm, a whole number of voxels, and the voxel to centre on."""
    spacing, centres = recipe.source_spacing_mm, anatomy.centres_lps_mm
    centre, jitter = centres[level].copy(), np.zeros(3)
    if recipe.stage == "segmentation":
        centre += recipe.config.shift_at(int(anatomy.labels[level]))
    else:
        centre = along_spine(centres, centre, recipe.source_size[2] * spacing, 1.0, rng)
        jitter = rng.uniform(-1, 1, 3) * recipe.translation_mm * (1, 1, 0)
    origin = centre - 0.5 * (np.array(recipe.source_size) - 1) * spacing
    origin = np.rint(origin / spacing) * spacing
    return origin, (centre + jitter - origin) / spacing


_GAP_MM = 14.0
"""Between two bodies, at most, that a disc fills."""


def course_of(
    graft: RealVolume, spacing_mm: float, donors: list[Course], rng: np.random.Generator
) -> np.ndarray:
    """Centres of C1 ... L5 (24, 3) in mm of the mask's grid; those not shown come from `donors`."""
    points = np.full((LEVELS, 3), np.nan)
    for label, point in graft.landmarks.items():
        if label <= LEVELS:
            points[label - 1] = point * spacing_mm
    return complete(Course(graft.name, graft.name, points), donors, rng)


def insert_graft(
    labels: np.ndarray, graft: RealVolume, start: np.ndarray, spacing_mm: float
) -> np.ndarray:
    """`labels` with the whole vertebrae of the mask instead of its own.

    Args:
        labels: posed body, uint8 (x, y, z).
        graft: mask at the same spacing.
        start: voxel of the mask at which `labels` begins.
        spacing_mm: of both.
    """
    levels = list(graft.landmarks)
    result = labels.copy()
    own = np.isin(labels, levels)
    result[own | (labels == Tissue.DISC)] = Tissue.MUSCLE
    placed = window(graft.volume, start, labels.shape, outside=0)
    placed[~np.isin(placed, levels)] = 0
    bone = (placed > 0) | ((result >= 1) & (result <= 26))
    closed = ndimage.binary_closing(bone, np.ones((1, 1, max(2, round(_GAP_MM / spacing_mm)))))
    soft = (result == Tissue.MUSCLE) | (result == Tissue.LIGAMENT)
    course = {label: point - start for label, point in graft.landmarks.items()}
    front = behind_bodies(course, labels.shape, spacing_mm) == 0
    result[closed & soft & front & (own | (labels == Tissue.DISC))] = Tissue.DISC
    result[placed > 0] = placed[placed > 0]
    return result
