"""Posed bodies as a source of samples."""

from __future__ import annotations

import numpy as np

from vertseg.training import implants
from vertseg.training.anatomy import Anatomy, draw_anatomy
from vertseg.training.atlas import Atlas
from vertseg.training.boxes import along_spine
from vertseg.training.breath import breathe
from vertseg.training.courses import Course, complete, drift
from vertseg.training.degeneration import degenerate
from vertseg.training.graft import course_of, insert_graft
from vertseg.training.pose import pose
from vertseg.training.real import RealVolume
from vertseg.training.recipe import Recipe, SourceVolume
from vertseg.training.ribs import trim_ribs

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
        level = int(rng.integers(len(anatomy.labels)))
    else:
        points = course_of(graft, spacing, courses, rng)
        anatomy = draw_anatomy(points, atlas, rng, "usual", mixed)
        level = int(rng.choice(list(graft.landmarks))) - 1
    origin, middle = _draw_window(recipe, anatomy, level, rng)
    body = pose(anatomy, atlas, origin, recipe.source_size, spacing)
    labels = breathe(trim_ribs(body, rng), spacing, rng)
    place = {k: (p - origin) / spacing for k, p in body.landmarks.items()}
    if graft is not None:
        start = np.rint(origin / spacing).astype(int)
        labels = insert_graft(labels, graft, start, spacing)
        place |= {k: p - start for k, p in graft.landmarks.items()}
    labels, place = degenerate(labels, place, spacing, rng)
    labels = implants.insert(labels, place, spacing, rng)
    label = int(anatomy.labels[level])
    if recipe.stage == "segmentation":
        middle = place[label] + np.array(recipe.config.shift_at(label)) / spacing
    return SourceVolume(labels, place, middle, label)


def _draw_window(recipe: Recipe, anatomy: Anatomy, level: int, rng: np.random.Generator):
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
