"""Drawn anatomies, and the atlas posed along them."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from vertseg.training.anatomy import Anatomy, draw_anatomy
from vertseg.training.numbering import draw_numbering, mix_shapes
from vertseg.training.pose import pose


def test_an_unchanged_anatomy_is_the_atlas_itself(atlas):
    same = Anatomy(
        np.arange(1, 25),
        np.arange(24),
        atlas.centres_lps_mm,
        np.broadcast_to(np.eye(3), (24, 3, 3)),
        15.0,
        (),
    )
    body = pose(same, atlas, atlas.origin_lps_mm, atlas.labels.shape, atlas.spacing_mm)
    assert (body.labels == atlas.labels).mean() > 0.99
    for level, centre in enumerate(atlas.centres_lps_mm):
        np.testing.assert_allclose(body.landmarks[level + 1], centre, atol=0.1)


def test_a_posed_body_has_its_vertebrae_at_its_landmarks(atlas, course):
    rng = np.random.default_rng(5)
    points = course.points_lps_mm * 1.1
    anatomy = draw_anatomy(points, atlas, rng)
    origin = points.min(0) - 80
    size = tuple(int(n) for n in (np.ptp(points, axis=0) + 160) // 4)
    body = pose(anatomy, atlas, origin, size, 4.0)
    for label, point in body.landmarks.items():
        at = tuple(np.rint((point - origin) / 4.0).astype(int))
        box = tuple(slice(i - 2, i + 3) for i in at)
        if label > 2:
            assert label in body.labels[box]


def test_a_vertebra_may_bear_the_shape_of_its_neighbour(atlas):
    """The ends of a region stay: the first rib, a last rib, the sacrum; all labels are there."""
    spacing, drawn = atlas.spacing_mm, []
    lumbar_rib = (atlas.labels == 112) | (atlas.labels == 132)
    assert lumbar_rib.any()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        anatomy = draw_anatomy(atlas.centres_lps_mm, atlas, rng, "usual", mixed_shapes=True)
        drawn.append(anatomy.sources)
        plain = dataclasses.replace(
            anatomy, to_atlas=np.broadcast_to(np.eye(3), (24, 3, 3)), warp=(), slide_mm=0.0
        )
        body = pose(plain, atlas, atlas.origin_lps_mm, atlas.labels.shape, spacing)
        for label in (1, 7, 8, 12, 19, 20, 24):
            place = np.rint((body.landmarks[label] - atlas.origin_lps_mm) / spacing).astype(int)
            assert label in body.labels[tuple(slice(max(i - 2, 0), i + 3) for i in place)]
    drawn = np.array(drawn)
    step = drawn - np.arange(24)
    assert set(np.unique(step)) >= {-1, 0, 1} and (np.diff(drawn, axis=1) >= 0).all()
    assert (step[:, [0, 1, 6, 7, 23]] == 0).all() and (drawn[:, 18] <= 18).all()


def test_numbering_variants_have_their_labels():
    points = np.cumsum(np.tile([0.0, 0.0, -25.0], (24, 1)), axis=0)
    seen = set()
    for seed in range(150):
        labels, sources, centres = draw_numbering(points, np.random.default_rng(seed), None)
        assert len(labels) == len(sources) == len(centres)
        assert (np.diff(centres[:, 2]) < 0).all()
        seen.add((25 in labels, 28 in labels, 19 in labels, 24 in labels))
    usual, l6, t13, no_t12, no_l5 = (
        (False, False, True, True),
        (True, False, True, True),
        (False, True, True, True),
        (False, False, False, True),
        (False, False, True, False),
    )
    assert seen == {usual, l6, t13, no_t12, no_l5}


@pytest.mark.parametrize("kind", ["l6", "t13", "no_t12", "no_l5"])
def test_shapes_stray_within_their_region_in_variants_too(kind):
    points = np.cumsum(np.tile([0.0, 0.0, -25.0], (24, 1)), axis=0)
    strayed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels, sources, _ = draw_numbering(points, rng, kind)
        mixed = mix_shapes(labels, sources, rng)
        thoracic = (labels <= 19) & (labels >= 8) | (labels == 28)
        neck, lumbar = labels <= 7, (labels >= 20) & (labels <= 25)
        assert (np.diff(mixed) >= 0).all() and mixed[-1] == sources[-1]
        assert mixed[neck].max() <= 6 and mixed[thoracic].min() >= 7
        assert mixed[thoracic].max() <= 18 <= mixed[lumbar].min()
        assert kind != "no_t12" or mixed[lumbar].min() >= 19
        strayed += not np.array_equal(mixed, sources)
    assert strayed > 10


def test_every_vertebra_keeps_its_shape_where_levels_are_not_those_of_the_atlas(atlas):
    """Blending alone would stretch processes to twice their length, and melt bodies."""
    spacing = atlas.spacing_mm
    height = [box[2].stop - box[2].start for box in atlas.boxes]
    for seed, kind in enumerate(("t13", "l6", "usual", "usual")):
        rng = np.random.default_rng(seed)
        anatomy = draw_anatomy(atlas.centres_lps_mm, atlas, rng, kind, mixed_shapes=True)
        assert anatomy.rigid
        origin = anatomy.centres_lps_mm.min(0) - 70
        size = np.ceil((np.ptp(anatomy.centres_lps_mm, axis=0) + 140) / spacing).astype(int)
        body = pose(anatomy, atlas, origin, size, spacing)
        main_part = []
        for label, source in zip(anatomy.labels, anatomy.sources, strict=True):
            mask = body.labels == label
            parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
            main_part.append(np.bincount(parts[mask]).max() / mask.sum())
            assert np.ptp(np.flatnonzero(mask.any((0, 1)))) < 1.5 * height[source] + 2
        assert np.mean(main_part) > 0.95  # arches of the neck are thinner than a voxel here
