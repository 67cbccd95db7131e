"""Data sets in their several layouts, the checks, the folds, and the pool that comes out."""

import json
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from models import PRESETS
from tests.support.paths import ROOT
from vertseg.errors import ConfigurationError, InputError, NoInputError
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import write_centroids
from vertseg.io.image import Image
from vertseg.phantom import make_phantom, write_phantom
from vertseg.training.data.checks import bone_and_beside_hu, check_case, corner_distance_mm
from vertseg.training.data.dataset import CaseData, find_data_cases, read_case, scan_key
from vertseg.training.data.patients import assign_folds, patients_of, read_participants
from vertseg.training.data.prepare import PrepareConfig, prepare, report_in_words
from vertseg.training.data.real import (
    draw_scan,
    draw_vertebra,
    load_labelled_scans,
    load_masks,
    load_scans,
)
from vertseg.training.data.real_pool import read_cases
from vertseg.training.factory.atlas import LEVEL_NAMES, load_atlas, pack_atlas
from vertseg.training.recipe import recipe_for

PRESET = PRESETS["default"]
SPACING_MM = 3.0


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(("L1", "L3"), SPACING_MM, 2, field_mm=(150.0, 150.0), noise_hu=5.0)


@pytest.fixture
def good(phantom):
    points = {c.label: np.array(c.point_lps_mm) for c in phantom.centroids}
    return CaseData("a", phantom.image, phantom.vertebra_mask(), phantom.grid, points)


def write_bids(phantom, folder, name):
    """Scan below rawdata, truth below derivatives."""
    subject = name.split("_")[0]
    scan, *truth = write_phantom(phantom, folder / "rawdata" / subject / f"{name}_ct.nii.gz")
    target = folder / "derivatives" / subject
    target.mkdir(parents=True)
    for path in truth:
        path.rename(target / path.name)
    return scan


def test_the_layouts_say_the_same(phantom, tmp_path):
    write_bids(phantom, tmp_path / "20", "sub-gl003_dir-ax")
    flat = tmp_path / "19" / "verse004.nii.gz"
    write_phantom(phantom, flat)
    write_centroids(flat.with_name("verse004_ctd.json"), phantom.centroids, phantom.grid, "verse19")
    first = tmp_path / "first" / "GL004_CT_ax.nii.gz"
    _, _, points = write_phantom(phantom, first)
    points.unlink()
    affine = phantom.grid.affine_lps.copy()
    affine[:3, :3] /= SPACING_MM
    size = [int(SPACING_MM * (n - 1)) + 1 for n in phantom.grid.size]
    fine = Grid(tuple(size), affine)
    write_centroids(first.with_name("GL004_CT_ax_iso-ctd.json"), phantom.centroids, fine)
    cases = find_data_cases([tmp_path])
    assert [case.name for case in cases] == ["GL004_CT_ax", "gl003_dir-ax", "verse004"]
    for case in cases:
        data = read_case(case)
        assert check_case(data).problems == ()
        assert len(data.points_lps_mm) == len(phantom.centroids)
        for centroid in phantom.centroids:
            apart = data.points_lps_mm[centroid.label] - centroid.point_lps_mm
            assert np.linalg.norm(apart) < 0.5


def test_files_of_one_scan_come_together(phantom, tmp_path):
    assert scan_key("sub-verse401_split-verse253") == scan_key("verse253") == "verse253"
    write_phantom(phantom, tmp_path / "19" / "verse253.nii.gz")
    write_bids(phantom, tmp_path / "20", "sub-verse401_split-verse253")
    (case,) = find_data_cases([tmp_path / "19", tmp_path / "20"])
    assert case.name == "verse253" and len(case.ignored) == 3
    (case,) = find_data_cases([tmp_path / "20", tmp_path / "19"])
    assert case.name == "verse401_split-verse253" and "20" in str(case.files.scan)
    apart = tmp_path / "apart"
    apart.mkdir()
    case.files.mask.rename(apart / case.files.mask.name)
    for path in (tmp_path / "19").iterdir():
        path.unlink()
    (case,) = find_data_cases([tmp_path / "20", apart])
    assert case.files.mask.parent == apart and not case.ignored
    with pytest.raises(NoInputError, match="matches 'x'"):
        find_data_cases([tmp_path], only="x")
    case.files.scan.unlink()
    case.files.mask.unlink()
    (case,) = find_data_cases([tmp_path])
    with pytest.raises(InputError, match="neither scan nor mask"):
        read_case(case)


def test_patients_and_folds(tmp_path):
    names = ["verse253", "sub-verse401_split-verse254", "verse401_dir-ax", "gl003", "gl003_dir-sag"]
    found = patients_of([*names, "verse254", "head", "belly"], [("belly", "sub-head")])
    assert found["sub-verse401_split-verse254"] == found["verse254"] == found["verse401_dir-ax"]
    assert found["gl003"] == found["gl003_dir-sag"] and found["head"] == found["belly"]
    assert len(set(found.values())) == 4
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tage\tpatient\nsub-a\t50\tp1\nsub-b\t51\tp1\nsub-c\t7\t\n")
    found = patients_of(["a", "b_dir-ax", "c"], read_participants(table))
    assert found["a"] == found["b_dir-ax"] != found["c"]
    table.write_text("participant_id\tage\nsub-a\t50\n")
    assert read_participants(table) == []
    table.write_text("age\n50\n")
    with pytest.raises(ConfigurationError, match="names no scans"):
        read_participants(table)
    patients = {f"s{i}": f"p{i // 2}" for i in range(20)}
    folds = assign_folds(patients, 3)
    for patient in set(patients.values()):
        assert len({folds[name] for name in patients if patients[name] == patient}) == 1
    counts = [list(folds.values()).count(fold) for fold in range(3)]
    assert sum(counts) == 20 and max(counts) - min(counts) <= 2
    with pytest.raises(ConfigurationError):
        assign_folds(patients, 0)


def test_a_good_case_passes(good):
    assert check_case(good) == check_case(good)
    assert check_case(good).problems == ()
    without_scan = replace(good, image=None)
    assert check_case(without_scan).problems == ()
    bone, beside = bone_and_beside_hu(good.image, good.mask, good.mask_grid)
    assert bone > 100 > beside


def test_what_does_not_fit_is_refused(good):
    def problems(**changes):
        return " | ".join(check_case(replace(good, **changes)).problems)

    def moved(mm):
        affine = good.grid.affine_lps.copy()
        affine[:3, 3] += mm
        return Grid(good.grid.size, affine)

    assert "corners of scan and mask lie 17.3 mm apart" in problems(mask_grid=moved(10.0))
    swapped = good.points_lps_mm | {20: good.points_lps_mm[21], 21: good.points_lps_mm[20]}
    assert "the point of L1 lies" in problems(points_lps_mm=swapped)
    far = {label: p + (0, 0, 500) for label, p in good.points_lps_mm.items()}
    assert "points outside of the scan: L1, L2, L3" in problems(points_lps_mm=far)
    near = {20: good.points_lps_mm[20], 21: good.points_lps_mm[20] + (0, 0, -2.0)}
    assert "L1 and L2 lie 2 mm apart" in problems(points_lps_mm=near)
    assert "holds no vertebra" in problems(mask=np.zeros_like(good.mask))
    assert "holds no vertebra" in problems(points_lps_mm={})
    aside = np.roll(good.mask, 14, axis=0)
    assert "does not show bone" in problems(mask=aside, points_lps_mm=None)
    affine = good.grid.affine_ras
    percent = Image.from_array(np.clip(good.image.array, 0, 100), affine)
    assert "not Hounsfield units" in problems(image=percent)
    coarse = Grid(good.grid.size, good.grid.affine_lps @ np.diag([4, 4, 4, 1.0]))
    assert "its spacing is 12 x 12 x 12 mm" in " ".join(
        check_case(CaseData("a", None, good.mask, coarse)).problems
    )
    notes = check_case(replace(good, points_lps_mm={20: good.points_lps_mm[20]})).notes
    assert any(note.startswith("masks without point: L2, L3") for note in notes)


def test_boxes_agree_whatever_the_order_of_axes(good):
    grid = good.grid
    turned = grid.affine_lps[:, [2, 0, 1, 3]].copy()
    i, j, k = grid.size
    other = Grid((k, i, j), turned)
    assert corner_distance_mm(grid, other) == pytest.approx(0.0, abs=1e-9)


@pytest.fixture(scope="module")
def prepared(phantom, tmp_path_factory):
    """A folder as ``load_scans`` and ``load_masks`` read it, and the pool made from it."""
    data = tmp_path_factory.mktemp("data")
    write_bids(phantom, data / "ct", "sub-a")
    write_bids(phantom, data / "masks", "sub-m")
    (data / "masks/rawdata/sub-m/sub-m_ct.nii.gz").unlink()
    broken = write_bids(phantom, data / "ct", "sub-broken")
    broken.write_bytes(b"no image")
    (data / "ct/derivatives/sub-a/sub-a_seg-vert_msk.nii.gz").unlink()
    pool = data / "pool"
    config = PrepareConfig(folds=2, aliases=(("a", "broken"),))
    return data, pool, prepare([data / "ct", data / "masks"], pool, PRESET, config)


def test_the_report_says_what_was_refused(prepared):
    data, pool, report = prepared
    assert [row["name"] for row in report["cases"]] == ["a", "m"]
    assert [row["name"] for row in report["refused"]] == ["broken"]
    assert report["cases"][0]["patient"] == report["refused"][0]["patient"]
    assert {row["fold"] for row in report["cases"]} == {0, 1}
    assert json.loads((pool / "real/report.json").read_text()) == report
    words = report_in_words(report)
    assert "broken: REFUSED: " in words and "2 cases of 2 patients with 8 vertebrae" in words
    files = sorted(path.name for path in (pool / "real").glob("*.npz"))
    assert files == ["a.spine.npz", "a.vertebrae.npz", "m.segmentation.npz", "m.vertebrae.npz"]


@pytest.mark.parametrize("stage", ["spine", "vertebrae", "segmentation"])
def test_training_sees_the_same_through_the_pool(prepared, stage):
    data, pool, _ = prepared
    recipe = recipe_for(stage, getattr(PRESET, stage))
    pairs = []
    if stage == "segmentation":
        direct, pooled = (load_masks(f, recipe.source_spacing_mm) for f in (data, pool))
        pairs.append((direct, pooled, draw_vertebra))
    else:
        direct, pooled = (
            load_scans(f, recipe.source_spacing_mm, hold_out=("broken",)) for f in (data, pool)
        )
        pairs.append((direct, pooled, draw_scan))
    for direct, pooled, draw in pairs:
        assert [v.name for v in direct] == [v.name for v in pooled]
        for seed in range(4):
            one, other = (draw(recipe, v, np.random.default_rng(seed)) for v in (direct, pooled))
            np.testing.assert_array_equal(one.volume, other.volume)
            assert one.wanted == other.wanted and one.landmarks.keys() == other.landmarks.keys()
            np.testing.assert_allclose(one.centre, other.centre)
            for label, point in one.landmarks.items():
                np.testing.assert_allclose(point, other.landmarks[label])
            assert one.doubtful.keys() == other.doubtful.keys()


def test_scans_with_a_mask_train_the_segmentation(phantom, tmp_path):
    write_bids(phantom, tmp_path / "data", "sub-a")
    prepare([tmp_path / "data"], tmp_path / "pool", PRESET, PrepareConfig(folds=2))
    spacing = recipe_for("segmentation", PRESET.segmentation).source_spacing_mm
    assert load_labelled_scans(tmp_path / "data", spacing) == []
    assert load_labelled_scans(tmp_path / "pool", spacing, hold_out=("a",)) == []
    (scan,) = load_labelled_scans(tmp_path / "pool", spacing)
    assert scan.volume.dtype == np.int16 and scan.volume.shape == scan.labels.shape
    assert scan.landmarks
    for label in scan.landmarks:
        inside, around = scan.labels == label, scan.labels == 0
        assert scan.volume[inside].mean() > scan.volume[around].mean() + 50


def test_folds_and_spacings_of_a_pool(prepared):
    _, pool, report = prepared
    spacing = recipe_for("vertebrae", PRESET.vertebrae).source_spacing_mm
    assert [case.name for case in read_cases(pool, spacing)] == ["a", "m"]
    fold = report["cases"][0]["fold"]
    assert [case.name for case in read_cases(pool, spacing, fold=fold)] == ["m"]
    assert load_scans(pool, spacing, fold=fold) == []
    assert load_scans(pool, spacing, hold_out=("a",)) == []
    with pytest.raises(ConfigurationError, match="no case at 7.7 mm"):
        load_scans(pool, 7.7)


def test_a_packed_atlas_is_the_same(tmp_path):
    labels = np.random.default_rng(0).integers(0, 90, (4, 5, 6)).astype(np.uint8)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "atlas_labels.nii.gz")
    centres = {name: [1.0, 2.0, float(row)] for row, name in enumerate(LEVEL_NAMES[2:])}
    (tmp_path / "body_centres_from_discs.json").write_text(json.dumps(centres))
    atlas = load_atlas(tmp_path)
    packed = load_atlas(pack_atlas(tmp_path, tmp_path / "pool").parent)
    np.testing.assert_array_equal(packed.labels, labels[::-1, ::-1])
    assert packed.spacing_mm == atlas.spacing_mm == 2.0
    np.testing.assert_array_equal(packed.origin_lps_mm, [-6.0, -8.0, 0.0])
    np.testing.assert_array_equal(packed.centres_lps_mm, atlas.centres_lps_mm)


def test_a_pool_needs_no_reader_of_images(prepared):
    _, pool, _ = prepared
    spacing = recipe_for("vertebrae", PRESET.vertebrae).source_spacing_mm
    code = f"""
import sys
sys.modules.update(dict.fromkeys(("nibabel", "SimpleITK")))
from pathlib import Path
import vertseg.training.sources, vertseg.training.loop.train
from vertseg.training.data.real import load_scans
print(len(load_scans(Path({str(pool)!r}), {spacing!r})))
"""
    root = ROOT
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr
