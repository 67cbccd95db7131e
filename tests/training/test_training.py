"""The factory and the training loop, on an atlas made from the phantom."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage, spatial

from models import PRESETS, NetworkConfig, StageConfig
from vertseg.io.read import read_image
from vertseg.phantom import Tissue
from vertseg.training.data.real import cut_neighbours, within_points
from vertseg.training.factory import implants
from vertseg.training.factory.bodies import course_of, draw_body, insert_graft
from vertseg.training.factory.courses import LEVELS, Course, complete, split_by_patient
from vertseg.training.factory.tissue import METAL, draw_tissue
from vertseg.training.factory.wear import degenerate
from vertseg.training.loop.train import TrainConfig, train
from vertseg.training.recipe import Recipe
from vertseg.training.sample.appearance import NoiseBank
from vertseg.training.sample.draws import draw_sample
from vertseg.training.sample.synthesis import (
    gaussian,
    landmark_distances,
    nearest_labels,
    render,
    sample_linear,
)
from vertseg.training.sample.targets import TISSUES
from vertseg.training.validate import cases
from vertseg.training.volumes import RealVolume


def recipe(stage="vertebrae", **changes):
    network = NetworkConfig(
        "scnet", (8, 8, 8), outputs=27, negative_slope=0.1, spatial_filters=8,
        combination="shared", tissues=TISSUES, normalization="both",
    )  # fmt: skip
    config = StageConfig(
        network, (16, 16, 16), 10.0, 4.0, "shared_softmax", 1.5, labels=(*range(1, 26), 28)
    )
    return Recipe(stage, dataclasses.replace(config, **changes), (16, 16, 16), 5.0, (36, 36, 40))


def test_a_short_course_is_completed_by_donors(course):
    short = course.points_lps_mm.copy()
    short[:15] = np.nan
    partial = Course("short", "b", short)
    whole = complete(partial, [course], np.random.default_rng(0))
    assert whole.shape == (LEVELS, 3) and np.isfinite(whole).all()
    np.testing.assert_array_equal(whole[15:], short[15:])
    np.testing.assert_allclose(whole, course.points_lps_mm, atol=10)
    ratio = np.diff(whole, axis=0)[:14] / np.diff(course.points_lps_mm, axis=0)[:14]
    assert np.ptp(ratio[:, 2]) < 0.05


def test_the_split_keeps_patients_together(course):
    courses = [Course(f"s{i}", f"p{i // 3}", course.points_lps_mm) for i in range(60)]
    train_set, held = split_by_patient(courses, 0.1)
    assert {c.patient for c in train_set}.isdisjoint(c.patient for c in held)
    assert len(train_set) + len(held) == 60 and len(held) == 6


def test_the_same_seed_gives_the_same_sample(atlas, course):
    def draw(seed):
        rng = np.random.default_rng(seed)
        source = draw_body(recipe(), [course], atlas, rng)
        return draw_sample(recipe(), source, NoiseBank(recipe().source_size), rng)

    first, again, other = draw(3), draw(3), draw(4)
    for value, repeated in zip(keras.tree.flatten(first), keras.tree.flatten(again), strict=True):
        np.testing.assert_array_equal(value, repeated)
    image, _ = render(first)
    np.testing.assert_array_equal(image, render(again)[0])
    assert np.abs(ops.convert_to_numpy(image) - ops.convert_to_numpy(render(other)[0])).max() > 0.1
    assert image.shape == (16, 16, 16) and float(ops.max(ops.abs(image))) <= 1.0


def test_landmarks_peak_where_the_image_is_sampled_at_them(atlas, course):
    rng = np.random.default_rng(8)
    source = draw_body(recipe(), [course], atlas, rng)
    draw = draw_sample(recipe(), source, NoiseBank(recipe().source_size), rng)
    _, coords = render(draw)
    gaussians = ops.convert_to_numpy(gaussian(landmark_distances(coords, draw), draw))
    peaks = gaussians.max(axis=(0, 1, 2))
    coords = ops.convert_to_numpy(coords)
    for channel in np.flatnonzero(peaks > 0.9):
        at = np.unravel_index(gaussians[..., channel].argmax(), gaussians.shape[:3])
        away = coords[(slice(None), *at)] - draw["landmarks"][channel]
        assert np.linalg.norm(away) < 2.5


def test_linear_sampling_agrees_with_scipy():
    rng = np.random.default_rng(0)
    volume = rng.normal(0, 1, (7, 8, 9)).astype(np.float32)
    inside = rng.uniform(0, 6, (3, 4, 5, 6)).astype(np.float32)
    expected = ndimage.map_coordinates(volume, inside, order=1)
    np.testing.assert_allclose(sample_linear(volume, inside), expected, atol=1e-5)
    beyond = ndimage.map_coordinates(volume, inside + 5, order=1, mode="nearest")
    np.testing.assert_allclose(sample_linear(volume, inside + 5), beyond, atol=1e-5)


def test_landmark_distances_agree_with_scipy():
    rng = np.random.default_rng(1)
    coords = rng.uniform(0, 250, (3, 4, 5, 6)).astype(np.float32)
    landmarks = rng.uniform(0, 250, (7, 3)).astype(np.float32)
    landmarks[3] = -1e4
    affine = np.full((3, 4), 120, np.float32)
    expected = spatial.distance.cdist(coords.reshape(3, -1).T, landmarks, "sqeuclidean")
    found = landmark_distances(coords, {"affine": affine, "landmarks": landmarks})
    np.testing.assert_allclose(found, expected.reshape(4, 5, 6, 7), rtol=1e-5, atol=0.02)


def test_bone_is_denser_than_muscle_and_air_is_air():
    for seed in range(20):
        draw = draw_tissue(np.random.default_rng(seed))
        assert draw.hu[0] == -1000 and draw.hu[METAL] >= 2000
        assert draw.bone[20] == 1 and draw.bone[80] == 0
        assert draw.hu[20] + draw.cortex[20] > draw.hu[80]


def test_implants_leave_the_given_labels_alone():
    labels = np.full((40, 40, 60), 80, np.uint8)
    landmarks = {20 + i: np.array([20.0, 20.0, 50.0 - 9 * i]) for i in range(5)}
    changed = [implants.insert(labels, landmarks, 3.0, np.random.default_rng(s)) for s in range(60)]
    assert (labels == 80).all()
    assert any((c != 80).any() for c in changed)


def test_labels_are_those_under_the_image(atlas, course):
    draw = sample_of(atlas, course, 8)
    image, coords = (ops.convert_to_numpy(a) for a in render(draw))
    labels = ops.convert_to_numpy(nearest_labels(coords, draw))
    bone, air = np.isin(labels, range(1, 26)), labels == -1
    assert bone.any() and air.any()
    assert image[bone].mean() > image[labels == Tissue.MUSCLE].mean() > image[air].mean()
    inside = [
        window[np.clip(np.rint(c), 0, len(window) - 1).astype(int)]
        for window, c in zip(draw["fov"], coords, strict=True)
    ]
    assert not (np.prod(inside, axis=0)[~air] == 0).any()


def sample_of(atlas, course, seed):
    rng = np.random.default_rng(seed)
    source = draw_body(recipe(), [course], atlas, rng)
    return draw_sample(recipe(), source, NoiseBank(recipe().source_size), rng)


def test_wear_keeps_the_input_and_moves_centres_with_their_end_plates(atlas):
    place = {i + 1: (c - atlas.origin_lps_mm) / 5.0 for i, c in enumerate(atlas.centres_lps_mm)}
    before, seen = atlas.labels.copy(), set()
    for seed in range(12):
        labels, moved = degenerate(atlas.labels, place, 5.0, np.random.default_rng(seed), True)
        assert labels.dtype == np.uint8 and set(moved) == set(place)
        for label, point in moved.items():
            down = np.linalg.norm(point - place[label])
            assert down < 0.2 * 40 / 5.0 and point[2] <= place[label][2]
            if down > 0:
                seen.add(label)
        assert (labels != before).any()
    assert len(seen) > 5
    np.testing.assert_array_equal(atlas.labels, before)


def test_bone_that_wear_adds_belongs_to_a_vertebra_beside_it(atlas):
    place = {i + 1: (c - atlas.origin_lps_mm) / 5.0 for i, c in enumerate(atlas.centres_lps_mm)}
    tree, added = spatial.cKDTree(list(place.values())), 0
    for seed in range(30):
        labels, _ = degenerate(atlas.labels, place, 5.0, np.random.default_rng(seed))
        where = np.argwhere((labels != atlas.labels) & (labels < 25))
        if len(where):
            beside = tree.query(where, k=2)[1] + 1
            assert (beside == labels[tuple(where.T)][:, None]).any(axis=1).mean() > 0.97
            added += len(where)
    assert added > 100


def test_a_graft_takes_the_place_of_the_atlas_vertebrae(atlas, course):
    place = {i + 1: (c - atlas.origin_lps_mm) / 5.0 for i, c in enumerate(atlas.centres_lps_mm)}
    volume = np.where(np.isin(atlas.labels, (20, 21, 22)), atlas.labels, 0).astype(np.uint8)
    graft = RealVolume("x", volume, {label: place[label] for label in (20, 21, 22)})
    points = course_of(graft, 5.0, [course], np.random.default_rng(0))
    for label in (20, 21, 22):
        np.testing.assert_allclose(points[label - 1], 5.0 * place[label])
    body = np.full(volume.shape, Tissue.MUSCLE, np.uint8)
    body[2:6, 2:6, 2:6] = 21
    body[10:12, 10:12, 10:12] = 5
    start = np.array([-3, 2, 0])
    result = insert_graft(body, graft, start, 5.0)
    assert (result[2:6, 2:6, 2:6] != 21).all() and (result[10:12, 10:12, 10:12] == 5).all()
    for x, y, z in np.argwhere(volume == 22)[::50]:
        at = np.array([x, y, z]) - start
        if ((at >= 0) & (at < body.shape)).all():
            assert result[tuple(at)] == 22


def test_points_at_cut_ends_are_doubtful():
    points = {label: np.array([0.0, 0.0, -10.0 * label]) for label in (5, 6, 7)}
    cut = cut_neighbours(points)
    assert sorted(cut) == [3, 4, 8, 9]
    np.testing.assert_allclose(cut[3], [0, 0, -30])
    assert not cut_neighbours({1: points[5], 2: points[6]}).keys() & {0, -1}
    assert sorted(cut_neighbours({23: points[5], 24: points[6]})) == [21, 22]


def test_cases_are_whole_and_hard_ones_are_marked(atlas, course, tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "FIELDS", {"lumbar": ("L1", "L4", 90.0)})
    case = cases.make_case(1, [course], [course], atlas)
    assert case.marks == ("lumbar", "L6") == cases.marks_of(1)
    assert case.hu.shape == case.mask.shape == case.grid.size
    found = {c.label for c in case.centroids}
    assert set(np.unique(case.mask)) - {0} == found and {21, 22} <= found
    for centroid in case.centroids:
        at = np.rint(np.asarray(case.grid.lps_to_index(centroid.point_lps_mm))).astype(int)
        box = tuple(slice(max(i - 2, 0), i + 3) for i in at)
        assert centroid.label in case.mask[box]
    scan = tmp_path / "rawdata/sub-a/sub-a_ct.nii.gz"
    cases.write_case(tmp_path, "sub-a", case.hu, case.grid, case.centroids, case.mask)
    read = read_image(scan)
    np.testing.assert_array_equal(read.grid.size, case.grid.size)
    assert len(list(tmp_path.rglob("*_seg-*"))) == 2


def test_a_case_that_does_not_look_like_ct_is_painted_anew(atlas, course, monkeypatch):
    monkeypatch.setattr(cases, "FIELDS", {"lumbar": ("L1", "L4", 90.0)})
    looks = ["unknown", "unknown", "hounsfield"]
    monkeypatch.setattr(cases, "recognise", lambda hu: looks.pop(0))
    third = cases.make_case(1, [course], [course], atlas)
    assert not looks
    monkeypatch.setattr(cases, "recognise", lambda hu: "hounsfield")
    first = cases.make_case(1, [course], [course], atlas)
    assert {c.label for c in first.centroids} == {c.label for c in third.centroids}
    assert not np.array_equal(first.hu, third.hu)


def test_discs_fill_the_gaps_between_the_bodies_of_a_graft_and_not_those_between_its_arches():
    volume = np.zeros((30, 60, 60), np.uint8)
    for label, low in ((22, 34), (23, 6)):
        volume[5:25, 4:24, low : low + 16] = label  # bodies, 12 mm apart
        volume[12:18, 40:52, low : low + 16] = label  # spinous processes
    graft = RealVolume("x", volume, {n: np.array([14.5, 13.5, z]) for n, z in ((22, 42), (23, 14))})
    body = np.where(volume > 0, volume, np.uint8(Tissue.MUSCLE))
    body[5:25, 4:52, 22:34] = 22  # what the graft replaces
    result = insert_graft(body, graft, np.zeros(3, int), 1.0)
    assert (result[6:24, 5:23, 23:33] == Tissue.DISC).all()
    assert (result[:, 30:, 22:34] == Tissue.MUSCLE).all()
    np.testing.assert_array_equal(result[volume > 0], volume[volume > 0])


def column(labels, below=0, above=0):
    """A scan with a point every 10 voxels, `below` and `above` them so many voxels more."""
    height = 10 * (len(labels) - 1) + below + above + 1
    points = {n: np.array([4.0, 5.0, height - 1 - above - 10.0 * i]) for i, n in enumerate(labels)}
    volume = np.broadcast_to(np.arange(height, dtype=np.int16), (8, 10, height))
    return RealVolume("x", volume, points, labels=(volume % 7).astype(np.uint8))


def test_a_scan_ends_where_vertebrae_in_view_have_no_points():
    scan = column(range(3, 9), below=50, above=40)  # C3 ... T1: C1 is the last one above
    cut = within_points(scan)
    assert cut.volume.shape[2] == scan.volume.shape[2] - 28
    assert cut.volume[0, 0, 0] == 28 and cut.labels.shape == cut.volume.shape
    for label, point in cut.landmarks.items():
        assert cut.volume[4, 5, int(point[2])] == scan.landmarks[label][2]
    np.testing.assert_array_equal(cut.labels, cut.volume % 7)
    upper = within_points(column(range(8, 25), below=80, above=50))
    assert upper.volume.shape[2] == 160 + 80 + 22  # nothing lies below L5 but the sacrum


@pytest.mark.parametrize("labels", [(20,), range(3, 23), range(12, 16), (18, 19, 28, 20, 21, 22)])
def test_a_scan_without_more_in_view_stays_whole(labels):
    scan = column(labels, below=20, above=20)
    assert within_points(scan) is scan


def test_what_lies_below_t13_is_doubtful():
    assert sorted(cut_neighbours(column((19, 28)).landmarks)) == [17, 18, 20, 21]


def test_thick_slices_are_as_thick_as_their_mark_says(atlas, course, monkeypatch):
    monkeypatch.setattr(cases, "FIELDS", {"lumbar": ("L1", "L3", 80.0)})
    case = cases.make_case(7, [course], [course], atlas, cases.THICK)
    assert case.marks == ("lumbar", "5 mm") and case.grid.spacing[2] == pytest.approx(5.0)


def test_a_stage_trains_and_goes_on_from_its_checkpoint(atlas, course, tmp_path):
    own = recipe()
    preset = dataclasses.replace(PRESETS["default"], vertebrae=own.config)
    sample = sample_of(atlas, course, 8)

    def draw(rng):
        return sample

    config = TrainConfig(minutes=5, steps=20, rate=1e-3, warmup=1)
    weights = train(preset, own, draw, tmp_path, config)
    assert weights.exists()
    train(preset, own, draw, tmp_path, config)
    rows = [row.split(",") for row in (tmp_path / "vertebrae.csv").read_text().split()]
    assert [int(row[0]) for row in rows] == [20, 40]
    assert float(rows[1][1]) < float(rows[0][1])
    assert len(list(tmp_path.glob("vertebrae.0*.json"))) == 2
