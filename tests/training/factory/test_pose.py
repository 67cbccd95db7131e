"""Drawn anatomies, and the atlas posed along them."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from vertseg.training.factory.anatomy import Anatomy, draw_anatomy
from vertseg.training.factory.numbering import draw_numbering, mix_shapes
from vertseg.training.factory.pose import pose


def _unchanged(atlas, **changes):
    """The anatomy that leaves the atlas as it is."""
    levels, unchanged = np.arange(24), np.broadcast_to(np.eye(3), (24, 3, 3))
    same = Anatomy(
        labels=levels + 1,
        sources=levels,
        shapes=levels,
        centres_lps_mm=atlas.centres_lps_mm,
        to_atlas=unchanged,
        to_shape=unchanged,
        blend_mm=15.0,
        warp=(),
        slide_mm=np.zeros(24),
        pitch=np.zeros(24),
        stretch=np.ones(24),
    )
    return dataclasses.replace(same, **changes)


def test_an_unchanged_anatomy_is_the_atlas_itself(atlas):
    body = pose(_unchanged(atlas), atlas, atlas.origin_lps_mm, atlas.labels.shape, atlas.spacing_mm)
    assert (body.labels == atlas.labels).mean() > 0.99
    for level, centre in enumerate(atlas.centres_lps_mm):
        np.testing.assert_allclose(body.landmarks[level + 1], centre, atol=0.1)


@pytest.mark.parametrize("rigid", [False, True])
def test_processes_slope_and_stretch_and_nothing_else_moves(atlas, rigid):
    def posed(**changes):
        anatomy = _unchanged(atlas, rigid=rigid, **changes)
        return pose(anatomy, atlas, atlas.origin_lps_mm, atlas.labels.shape, atlas.spacing_mm)

    def tip(body, label):
        """The hindmost twentieth of a vertebra, in mm from the centre."""
        offsets = np.argwhere(body.labels == label) * atlas.spacing_mm + atlas.origin_lps_mm
        offsets = offsets - body.landmarks[label]
        return offsets[offsets[:, 1] >= np.quantile(offsets[:, 1], 0.95)].mean(0)

    before = posed()
    steeper, longer = posed(pitch=np.full(24, 0.4)), posed(stretch=np.full(24, 1.3))
    for label in (6, 8, 10, 18, 20):
        reach = tip(before, label)[1] - 26.0
        moved = tip(steeper, label) - tip(before, label)
        np.testing.assert_allclose(moved, [0, 0, -0.4 * reach], atol=3.0)
    for label in (3, 6, 8):  # where the phantom's field of view has room behind them
        reach = tip(before, label)[1] - 26.0
        moved = tip(longer, label) - tip(before, label)
        np.testing.assert_allclose(moved, [0, 0.3 * reach, 0], atol=2.5)
        assert moved[1] > 3.0
    for body in (steeper, longer):
        for label, point in before.landmarks.items():
            np.testing.assert_allclose(body.landmarks[label], point, atol=0.5)
            _, depth, height = ((point - atlas.origin_lps_mm) / atlas.spacing_mm).astype(int)
            front = np.s_[:, : depth + 4, height - 1 : height + 2]
            assert (body.labels[front] == before.labels[front]).mean() > 0.99


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
    """All labels are there, and what stands beside the bones stays: the ribs."""
    ribs = ((atlas.labels > 100) & (atlas.labels < 133)).sum()
    unchanged, drawn = np.broadcast_to(np.eye(3), (24, 3, 3)), []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        anatomy = draw_anatomy(atlas.centres_lps_mm, atlas, rng, "usual", mixed_shapes=True)
        drawn.append(anatomy.shapes)
        plain = dataclasses.replace(
            anatomy, to_atlas=unchanged, to_shape=unchanged, warp=(), slide_mm=np.zeros(24)
        )
        body = pose(plain, atlas, atlas.origin_lps_mm, atlas.labels.shape, atlas.spacing_mm)
        for label in range(1, 25):
            place = (body.landmarks[label] - atlas.origin_lps_mm) / atlas.spacing_mm
            place = np.rint(place).astype(int)
            assert label in body.labels[tuple(slice(max(i - 2, 0), i + 3) for i in place)]
        assert ((body.labels > 100) & (body.labels < 133)).sum() > 0.9 * ribs
    step = np.array(drawn) - np.arange(24)
    assert set(np.unique(step)) >= {-2, -1, 0, 1, 2}
    assert (step[:, :2] == 0).all() and np.ptp(step[:, [6, 7, 18, 19, 23]], axis=0).all()


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
        assert mixed[neck].max() <= 7 and mixed[neck][:-1].max() <= 5
        assert mixed[thoracic].min() >= 6 and mixed[thoracic].max() <= 19
        assert mixed[lumbar].min() >= 18 and mixed[lumbar][1:].min() >= 19
        assert (np.abs(mixed - sources) <= 2).all()
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
        for label, shape in zip(anatomy.labels, anatomy.shapes, strict=True):
            mask = body.labels == label
            parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
            main_part.append(np.bincount(parts[mask]).max() / mask.sum())
            assert np.ptp(np.flatnonzero(mask.any((0, 1)))) < 1.5 * height[shape] + 2
        assert np.mean(main_part) > 0.95  # arches of the neck are thinner than a voxel here
