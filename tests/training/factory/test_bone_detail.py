"""Short ribs, shifted sizes, hollow and dense bone: what may change and what may not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from models import PRESETS
from vertseg.phantom import Tissue
from vertseg.training.data.real import draw_vertebra
from vertseg.training.factory.courses import LEVELS, VERSE_STEP_MM, drift
from vertseg.training.factory.marrow import behind_bodies, vary_bone
from vertseg.training.factory.outline import seen_share
from vertseg.training.factory.pose import Body
from vertseg.training.factory.soft_tissue import breathe, trim_ribs
from vertseg.training.factory.tissue import CEMENT, DENSE, JOINT, MARROW, METAL
from vertseg.training.factory.wear import degenerate
from vertseg.training.recipe import recipe_for
from vertseg.training.sample.appearance import NoiseBank
from vertseg.training.sample.draws import draw_sample
from vertseg.training.volumes import RealVolume

T12 = 19
RECIPE = recipe_for("segmentation", PRESETS["default"].segmentation)


def block_spine(size=(50, 80, 90), spacing=2):
    """Three bodies T11, T12, L1 with an arch behind each, and their centres in voxels."""
    labels = np.full(size, Tissue.MUSCLE, np.uint8)
    points = {}
    for label, z in ((20, 20), (19, 45), (18, 70)):
        labels[15:35, 20:40, z - 9 : z + 9] = label
        labels[22:28, 46:60, z - 6 : z + 6] = label
        points[label] = np.array([24.5, 29.5, float(z)])
    return labels, points


def test_drift_keeps_the_neck_and_moves_sizes_by_levels():
    points = np.concatenate([[0.0], -np.cumsum(VERSE_STEP_MM)])[:, None] * np.array([0.0, 0.0, 1.0])
    moved = [drift(points, np.random.default_rng(seed)) for seed in range(40)]
    for course in moved:
        assert course.shape == (LEVELS, 3)
        assert course[:7] == pytest.approx(points[:7])
        assert (np.diff(course[:, 2]) < 0).all()
    t11_t12 = [course[17, 2] - course[18, 2] for course in moved]
    assert min(t11_t12) < VERSE_STEP_MM[17] - 1.0 and max(t11_t12) > VERSE_STEP_MM[17] + 1.0


def test_short_ribs_end_beside_their_vertebra_and_others_stay():
    labels = np.full((101, 20, 20), Tissue.FAT, np.uint8)
    labels[:, 8:12, 4:6] = 112
    labels[:, 8:12, 12:14] = 110
    body = Body(labels, 2.0, np.zeros(3), {T12: np.array([100.0, 20.0, 10.0])})
    trimmed = [trim_ribs(body, np.random.default_rng(seed)) for seed in range(12)]
    reach = [np.abs(np.argwhere(t == 112)[:, 0] - 50).max() * 2.0 for t in trimmed]
    assert min(reach) < 70.0 and max(reach) == 100.0
    for t in trimmed:
        assert ((t == 110) == (labels == 110)).all()
        assert set(np.unique(t[labels == 112])) <= {112, Tissue.MUSCLE}


def test_places_of_other_density_lie_inside_vertebrae_only():
    labels, points = block_spine()
    found = {MARROW: 0, DENSE: 0}
    for seed in range(24):
        result = vary_bone(labels, points, 2.0, np.random.default_rng(seed))
        changed = result != labels
        assert np.isin(result[changed], [*found]).all()
        assert np.isin(labels[changed], [18, 19, 20]).all()
        assert changed.sum() < 0.3 * (labels < 21).sum()
        for label in found:
            found[label] += label in result
    assert 6 < found[MARROW] < 24 and 2 < found[DENSE] < 16


def test_joints_open_between_arches_and_ribs_but_not_between_fused_bodies():
    labels, points = block_spine()
    labels[15:35, 20:40, 54:61] = 19  # fused with T11
    labels[22:28, 46:60, 51:64] = 19  # a facet that touches the arch of T11
    labels[35:45, 28:32, 40:50] = 112  # a rib that touches T12
    opened = 0
    for seed in range(24):
        joint = vary_bone(labels, points, 2.0, np.random.default_rng(seed)) == JOINT
        opened += joint.any()
        assert np.isin(labels[joint], [18, 19, 112]).all()
        assert not joint[:34, :39].any() and joint[22:28, 46:60].any() == joint.any()
        assert joint[34:36, 28:32, 40:50].any() == joint.any()
        assert not joint.any(axis=(0, 1))[65:].any()
    assert 14 < opened < 24


def test_osteophytes_grow_from_the_bodies():
    labels, points = block_spine(size=(50, 80, 120))
    labels[15:35, 20:40, 29:36] = labels[15:35, 20:40, 54:61] = Tissue.DISC
    grown = 0
    for seed in range(40):
        worn, _ = degenerate(labels, points, 2.0, np.random.default_rng(seed), broken=False)
        if not (worn[labels == Tissue.DISC] == Tissue.DISC).all():
            continue  # a vacuum or a fusion
        for label in points:
            pieces, count = ndimage.label(worn == label, np.ones((3, 3, 3)))
            assert count == 2  # body and arch, and nothing that floats
        grown += (worn != labels).any()
    assert grown > 3


def test_arches_lie_behind_the_course():
    labels, points = block_spine()
    behind = behind_bodies(points, labels.shape, 2.0)
    assert behind.shape == labels.shape[1:]
    assert behind[20:36, 45].max() == 0.0 and behind[46:60, 45].min() == 1.0
    assert not behind_bodies({}, labels.shape, 2.0).any()


def draw(source):
    return draw_sample(RECIPE, source, NoiseBank(RECIPE.source_size), np.random.default_rng(3))


@pytest.mark.parametrize("implant", [CEMENT, METAL])
def test_the_mask_of_a_label_map_holds_marrow_and_what_is_implanted(implant):
    labels, points = block_spine()
    source = draw_vertebra(
        RECIPE, [RealVolume("p", labels, {19: points[19]})], np.random.default_rng(1)
    )
    whole, volume = source.volume == 19, source.volume.copy()
    x, y, z = (int(v) for v in source.landmarks[19])
    volume[x - 2 : x + 2, y - 12 : y + 40, z - 2 : z + 2] = implant  # enters and leaves the body
    source = replace(source, volume=volume, bones=source.volume)
    share = seen_share(whole, RECIPE.source_spacing_mm)
    assert (draw(source)["mask"][whole] > 127).all()
    np.testing.assert_allclose(draw(source)["mask"] / 255, share, atol=0.003)


def test_the_mask_of_a_scan_is_its_own():
    labels, points = block_spine()
    hu = np.where(labels < 21, 300, 40).astype(np.int16)
    scan = RealVolume("s", hu, {19: points[19]}, labels=labels)
    source = draw_vertebra(RECIPE, [scan], np.random.default_rng(1))
    sample = draw(source)
    assert sample["painted"] == 0
    assert sample["mask"].sum() == 255 * (labels == 19).sum()
    assert (sample["labels"][sample["mask"] > 0] == 300).all()


def test_breath_moves_the_lower_border_of_the_lungs_and_nothing_else():
    labels = np.full((20, 20, 100), Tissue.LIVER, np.uint8)
    labels[:, :, 50:] = Tissue.LUNG
    labels[8:12, 8:12] = T12
    ends = []
    for seed in range(20):
        result = breathe(labels, 2.0, np.random.default_rng(seed))
        assert ((result == T12) == (labels == T12)).all()
        column = result[0, 0] == Tissue.LUNG
        assert column[80:].all() and not np.diff(column.astype(int)).min() < 0
        ends.append(int(np.argmax(column)))
    assert min(ends) < 40 and max(ends) > 60
