"""The phantom against known shapes, its own truth, and the literature's figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import label as components

from tests.support.paths import ROOT
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import read_centroids
from vertseg.io.read import read_image
from vertseg.labels import label_of
from vertseg.phantom import Phantom, Tissue, draw_subject, level_names, make_phantom, write_phantom
from vertseg.phantom.__main__ import main
from vertseg.phantom.bone import BoneShape, Skeleton
from vertseg.phantom.coarse import coarse_size, upsample
from vertseg.phantom.dimensions import LEVEL_SIZES
from vertseg.phantom.fields import Ellipsoid, Limb, Plate, smooth_min
from vertseg.phantom.modifiers import Difference, Shell
from vertseg.phantom.patch import Frame, cut_patch
from vertseg.phantom.spine import draw_spine

SAMPLE = ROOT / "vertseg" / "data" / "sample"


@pytest.fixture(scope="module")
def lumbar() -> Phantom:
    return make_phantom(("L2", "L3"), 2.0, seed=3, field_mm=(130, 140))


def at(values: np.ndarray, grid: Grid, point_lps_mm: object) -> float:
    index = np.rint(grid.lps_to_index(point_lps_mm)).astype(int)
    return float(values[tuple(index)])


def points(*rows: tuple[float, float, float]) -> list[np.ndarray]:
    return list(np.array(rows, dtype=np.float32).T)


def test_a_ball_has_its_exact_distance() -> None:
    ball = Ellipsoid((1, 2, 3), (5, 5, 5))
    distance = ball.distance(*points((1, 2, 3), (9, 2, 3), (1, 2, 6)))
    assert distance == pytest.approx([-5, 3, -2], abs=1e-2)


def test_a_round_limb_is_a_capsule() -> None:
    limb = Limb((0, 0, 0), (0, 0, 20), (4, 4), (4, 4))
    distance = limb.distance(*points((7, 0, 10), (0, 0, 27), (1, 0, 5)))
    assert distance == pytest.approx([3, 3, -3], abs=1e-2)
    lower, upper = limb.bounds()
    assert np.all(lower <= (-4, -4, -4)) and np.all(upper >= (4, 4, 24))


def test_a_plate_is_a_rounded_box() -> None:
    plate = Plate((0, 0, 0), (10, 5, 2), rounding=1.0)
    distance = plate.distance(*points((12, 0, 0), (0, 0, 0), (10, 5, 2)))
    assert distance == pytest.approx([2, -2, np.sqrt(3) - 1], abs=1e-4)


def test_shells_and_differences() -> None:
    ball = Ellipsoid((0, 0, 0), (10, 10, 10))
    shell = Shell(ball, 2.0).distance(*points((9, 0, 0), (5, 0, 0)))
    assert shell == pytest.approx([-1, 3], abs=1e-2)
    cut = Difference(ball, (Ellipsoid((10, 0, 0), (4, 4, 4)),), fillet=0.0)
    assert cut.distance(*points((9, 0, 0)))[0] > 0


def test_a_smooth_union_only_adds() -> None:
    a, b = np.random.default_rng(0).normal(0, 4, (2, 1000)).astype(np.float32)
    union = smooth_min(a, b, 3.0)
    assert np.all(union <= np.minimum(a, b) + 1e-6)
    assert np.all(union >= np.minimum(a, b) - 0.75 - 1e-6)


def test_patches_know_their_coordinates_on_an_oblique_grid() -> None:
    rng = np.random.default_rng(1)
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] @ np.diag([1.5, 2, 3])
    grid = Grid((30, 28, 20), affine)
    frame = Frame(np.array(grid.centre_lps_mm), np.linalg.qr(rng.normal(size=(3, 3)))[0])
    patch = cut_patch(grid, frame, (-6, -5, -4), (6, 5, 4))
    assert patch is not None
    index = np.array([s.start for s in patch.slices]) + (1, 2, 1)
    expected = frame.to_local(grid.index_to_lps(index))
    found = [np.broadcast_to(c, patch.shape)[1, 2, 1] for c in (patch.x, patch.y, patch.z)]
    assert found == pytest.approx(list(expected), abs=1e-3)
    assert cut_patch(grid, frame, (900, 900, 900), (901, 901, 901)) is None


@pytest.mark.parametrize(("size", "steps"), [((7, 9, 11), (3, 2, 5)), ((1, 4, 6), (2, 3, 1))])
def test_upsampling_keeps_linear_fields(size: tuple, steps: tuple) -> None:
    i, j, k = np.ix_(
        *(np.arange(n) * s for n, s in zip(coarse_size(size, steps), steps, strict=True))
    )
    fine = upsample((i + 2.0 * j - k).astype(np.float32), size, steps)
    x, y, z = np.indices(size)
    assert np.broadcast_to(fine, size) == pytest.approx(x + 2.0 * y - z, abs=1e-4)


def test_bones_that_overlap_are_parted_by_a_joint() -> None:
    x = np.linspace(-10, 10, 81, dtype=np.float32).reshape(-1, 1, 1)
    skeleton = Skeleton((81, 1, 1))
    whole = (slice(None),) * 3
    skeleton.add(whole, 1, BoneShape(np.abs(x + 4) - 5, 100.0, 1.0))
    skeleton.add(whole, 2, BoneShape(np.abs(x - 4) - 5, 100.0, 1.0))
    labels = skeleton.labels(2.0)[:, 0, 0]
    gap = x[labels == 0, 0, 0]
    assert gap[np.abs(gap) < 5] == pytest.approx(np.arange(-1, 1.1, 0.25))
    assert set(labels[x[:, 0, 0] < -1.1]) == {0, 1}


@pytest.mark.parametrize("seed", range(5))
def test_spines_look_like_those_of_verse(seed: int) -> None:
    spine = draw_spine(np.random.default_rng(seed))
    steps = np.diff(spine.centres, axis=0)
    distance = np.linalg.norm(steps, axis=1)
    mean = np.array([s.to_next for s in LEVEL_SIZES.values()])
    assert np.all(np.abs(distance / mean / spine.scale - 1) < 0.25)
    assert np.all(distance > 12.5) and np.all(distance < 50) and np.all(steps[:, 2] < 0)
    for vertebra in spine.vertebrae:
        assert vertebra.frame.axes @ vertebra.frame.axes.T == pytest.approx(np.eye(3), abs=1e-9)
        assert np.linalg.det(vertebra.frame.axes) == pytest.approx(1)
        assert vertebra.frame.axes[2, 2] > 0.5 and vertebra.frame.axes[0, 0] > 0.9


@pytest.mark.parametrize(
    ("variant", "extra", "missing"),
    [("usual", [], []), ("L6", ["L6"], []), ("T13", ["T13"], []), ("no_T12", [], ["T12"])],
)
def test_numbering_variants(variant: str, extra: list[str], missing: list[str]) -> None:
    names = level_names(variant)  # type: ignore[arg-type]
    assert set(names) == (set(level_names("usual")) | set(extra)) - set(missing)
    spine = draw_subject(0, variant).spine  # type: ignore[arg-type]
    assert [v.name for v in spine.vertebrae] == list(names)
    assert np.all(np.diff(spine.centres[:, 2]) < 0)


def test_fractures_shorten_and_bend_the_trunk() -> None:
    sound, broken = (draw_subject(1, fractures=share).spine for share in (0.0, 1.0))
    length = [
        np.linalg.norm(np.diff(s.centres, axis=0), axis=1)[8:23].sum() for s in (sound, broken)
    ]
    assert 0.7 < length[1] / length[0] < 0.95
    assert all(v.variation.collapse > 0 for v in broken.vertebrae if v.name[0] in "TL")
    assert not any(v.variation.collapse > 0 for v in broken.vertebrae if v.name[0] == "C")
    assert np.all(np.diff(broken.centres[:, 2]) < 0)


def test_the_phantom_holds_the_levels_asked_for(lumbar: Phantom) -> None:
    labels = [c.label for c in lumbar.centroids]
    assert {label_of("L2"), label_of("L3")} <= set(labels) and labels == sorted(labels)
    mask = lumbar.vertebra_mask()
    assert set(np.unique(mask)) == {0, *labels}
    assert set(np.unique(lumbar.vertebra_mask(whole_only=False))) > set(np.unique(mask))
    for centroid in lumbar.centroids:
        assert at(mask, lumbar.grid, centroid.point_lps_mm) == centroid.label


def test_vertebrae_have_the_volume_of_real_ones(lumbar: Phantom) -> None:
    for name in ("L2", "L3"):
        bone = lumbar.labels == label_of(name)
        millilitres = bone.sum() * lumbar.grid.voxel_volume_mm3 / 1000
        assert 35 < millilitres / lumbar.subject.spine.scale**3 < 70
        parts, count = components(bone, np.ones((3, 3, 3)))
        assert np.bincount(parts.ravel())[1:].max() / bone.sum() > 0.98, count


def test_tissues_have_their_hounsfield_units(lumbar: Phantom) -> None:
    hu, labels, grid = lumbar.hu, lumbar.labels, lumbar.grid
    body = lumbar.subject.spine.vertebra("L3")
    core = at(hu, grid, body.frame.to_lps((6, -6, 0)))
    assert abs(core - lumbar.subject.trabecular_hu) < 90
    assert np.percentile(hu[labels == label_of("L3")], 95) > 380
    assert np.median(hu[labels == Tissue.FAT]) == pytest.approx(-100, abs=15)
    assert np.median(hu[labels == Tissue.MUSCLE]) == pytest.approx(55, abs=12)
    assert np.median(hu[labels == Tissue.DISC]) == pytest.approx(88, abs=25)
    assert hu.min() >= -1024 and hu.max() <= 3071


def test_the_seed_decides(lumbar: Phantom) -> None:
    again = make_phantom(("L2", "L3"), 2.0, seed=3, field_mm=(130, 140))
    assert np.array_equal(again.hu, lumbar.hu) and again.centroids == lumbar.centroids
    assert draw_subject(4).trabecular_hu != lumbar.subject.trabecular_hu


def test_any_pose_of_the_grid_shows_the_same_anatomy(lumbar: Phantom) -> None:
    flip = np.array([[0, 0, -1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    i, j, k = lumbar.grid.size
    flip[0, 3], flip[2, 3] = i - 1, k - 1
    turned = Grid((j, k, i), lumbar.grid.affine_lps @ flip)
    other = make_phantom(seed=3, grid=turned)
    same = other.labels[:, ::-1, ::-1].transpose(2, 0, 1) == lumbar.labels
    assert same.mean() > 0.999
    assert {c.label for c in other.centroids} == {c.label for c in lumbar.centroids}


def test_an_oblique_grid_keeps_the_centroids(lumbar: Phantom) -> None:
    angle = np.deg2rad(25)
    rotation = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)],
                         [0, np.sin(angle), np.cos(angle)]])  # fmt: skip
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([3.0, 3.0, 4.0])
    size = np.array([40, 40, 30])
    affine[:3, 3] = lumbar.centroids[0].point_lps_mm - affine[:3, :3] @ (size - 1) / 2
    oblique = make_phantom(seed=3, grid=Grid((40, 40, 30), affine))
    assert oblique.centroids
    for centroid in oblique.centroids:
        assert at(oblique.labels, oblique.grid, centroid.point_lps_mm) == centroid.label


@pytest.mark.parametrize(
    "wrong", [{"levels": ("T9", "X1")}, {"levels": ("L3", "L1")}, {"orientation": "LLS"}]
)
def test_wrong_wishes_are_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).removesuffix("s")):
        make_phantom(**wrong)
    with pytest.raises(ValueError, match="variant"):
        level_names("L7")  # type: ignore[arg-type]


def test_files_come_back_as_written(lumbar: Phantom, tmp_path: Path) -> None:
    paths = write_phantom(lumbar, tmp_path / "sub-a_ct.nii.gz")
    names = ["sub-a_ct.nii.gz", "sub-a_seg-vert_msk.nii.gz", "sub-a_seg-subreg_ctd.json"]
    assert [p.name for p in paths] == names
    image = read_image(paths[0])
    assert np.array_equal(image.array, lumbar.hu) and image.grid.is_close(lumbar.grid)
    assert not image.warnings
    assert np.array_equal(read_image(paths[1]).array, lumbar.vertebra_mask())
    centroids, form = read_centroids(paths[2], image)
    assert form == "verse20" and [c.label for c in centroids] == [c.label for c in lumbar.centroids]
    for read, known in zip(centroids, lumbar.centroids, strict=True):
        assert read.point_lps_mm == pytest.approx(known.point_lps_mm, abs=0.11)
    first = [p.read_bytes() for p in paths]
    assert first == [p.read_bytes() for p in write_phantom(lumbar, paths[0])]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "neck.nii.gz"
    arguments = ["--levels", "C1", "C3", "--spacing", "4", "4", "4", "--field", "90", "90"]
    assert main([str(out), *arguments, "--orientation", "PIR"]) == 0
    assert "C1, C2, C3" in capsys.readouterr().out
    assert read_image(out).grid.axis_codes() == ("P", "I", "R")
    records = json.loads((tmp_path / "neck_ctd.json").read_text())
    assert records[0] == {"direction": ["P", "I", "R"]}
    assert (tmp_path / "neck_seg.nii.gz").is_file()
    assert main([str(out), "--levels", "C1", "Q3"]) == 1
    assert "Q3" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "remedy"), [("a.nii", "a.nii.gz"), ("", "phantom.nii.gz")])
def test_a_name_that_no_reader_knows_is_refused(
    name: str, remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / name)]) == 1
    assert f"{tmp_path / remedy}." in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_the_bundled_sample_is_sound() -> None:
    path = SAMPLE / "sub-phantom_ct.nii.gz"
    assert path.stat().st_size < 1.5 * 2**20
    image, mask = read_image(path), read_image(SAMPLE / "sub-phantom_seg-vert_msk.nii.gz")
    centroids, _ = read_centroids(SAMPLE / "sub-phantom_seg-subreg_ctd.json", image)
    assert not image.warnings and image.intensities == "hounsfield"
    assert mask.grid.is_close(image.grid)
    labels = {c.label for c in centroids}
    assert labels == set(np.unique(mask.array)) - {0}
    assert {label_of(n) for n in ("T9", "T12", "L1", "L5")} <= labels
    for centroid in centroids:
        assert at(mask.array, image.grid, centroid.point_lps_mm) == centroid.label
        assert image.array[mask.array == centroid.label].mean() > 150
