"""VerSe as it was released: the zips of 2019, the first release of 2020, BIDS on OSF."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from tests.support.small_spines import LABELS, SPACING_MM, make_scan, write_scan
from vertseg.evaluate import evaluate
from vertseg.io.centroids import write_centroids
from vertseg.training.data.dataset import find_data_cases
from vertseg.training.data.doubles import find_doubles
from vertseg.training.data.native import read_native
from vertseg.training.data.prepare import PrepareConfig, prepare
from vertseg.training.presets import SMALL_PAPER


def in_2019(folder):
    """``verse2019`` of grand-challenge.org: all files of a scan side by side, points in mm."""
    for seed, name in enumerate(("verse004", "verse253")):
        write_scan(folder / "train", name, seed)
    return {"verse004", "verse253"}


def in_first_2020(folder):
    """Sub-folders as first released in 2020; points count voxels of 1 mm."""
    for seed, name in enumerate(("GL003_CT_ax", "verse400")):
        own = folder / name
        write_scan(own, name, seed)
        (own / f"{name}_ctd.json").unlink()
        _, _, centroids, grid = make_scan(seed)
        affine = grid.affine_lps.copy()
        affine[:3, :3] /= SPACING_MM
        size = tuple(int(SPACING_MM * (n - 1)) + 1 for n in grid.size)
        write_centroids(own / f"{name}_iso-ctd.json", centroids, type(grid)(size, affine))
    return {"GL003_CT_ax", "verse400"}


def in_bids(folder):
    """The re-release: rawdata and derivatives, ``dir-ax``, ``dir-iso``, ``split``; pictures."""
    names = ("sub-gl003_dir-ax", "sub-verse506_dir-iso", "sub-verse401_split-verse253")
    for seed, name in enumerate(names):
        subject = name.split("_")[0]
        raw = folder / "dataset-01training/rawdata" / subject
        truth = folder / "dataset-01training/derivatives" / subject
        write_scan(raw, name, seed)
        truth.mkdir(parents=True)
        (raw / f"{name}.nii.gz").rename(raw / f"{name}_ct.nii.gz")
        (raw / f"{name}_seg.nii.gz").rename(truth / f"{name}_seg-vert_msk.nii.gz")
        (raw / f"{name}_ctd.json").unlink()
        _, _, centroids, grid = make_scan(seed)
        write_centroids(truth / f"{name}_seg-subreg_ctd.json", centroids, grid)
        (truth / f"{name}_seg-vert_snp.png").write_bytes(b"picture")
    return {"gl003_dir-ax", "verse506_dir-iso", "verse401_split-verse253"}


@pytest.mark.parametrize("write", [in_2019, in_first_2020, in_bids])
def test_every_release_is_prepared_and_evaluated(write, tmp_path):
    data = tmp_path / "data"
    names = write(data)
    report = prepare([data], tmp_path / "pool", SMALL_PAPER, PrepareConfig(folds=2))
    assert not report["refused"], report
    assert {row["name"] for row in report["cases"]} == names
    assert {row["patient"] for row in report["cases"]} <= {
        "verse004", "verse253", "gl003", "verse400", "verse506", "verse401"
    }  # fmt: skip
    cases = read_native(tmp_path / "pool", SMALL_PAPER.vertebrae.smoothing_sigma_mm)
    seeds = sorted(make_scan(seed)[2][0].point_lps_mm for seed in range(len(names)))
    found = sorted(tuple(case.points_lps_mm[LABELS[0]]) for case in cases)
    np.testing.assert_allclose(found, seeds, atol=0.2)
    assert all([*case.points_lps_mm] == [*LABELS] and case.mask is not None for case in cases)
    results = tmp_path / "results"
    shutil.copytree(data, results)
    scores, absent = evaluate(data, results)
    assert not absent and len(scores) == len(LABELS) * len(names)
    assert all(s.identified and s.dice == 1.0 and s.distance_mm < 0.1 for s in scores)


def test_both_challenges_together_count_a_scan_once(tmp_path):
    in_2019(tmp_path)
    in_bids(tmp_path)
    cases = {case.name: case for case in find_data_cases([tmp_path])}
    assert len(cases) == 4  # verse253 stands in both, under two names
    assert sum(len(case.ignored) for case in cases.values()) == 3


def test_a_scan_under_two_names_stays_in_one_fold(tmp_path):
    """Reoriented, saved as float, and named otherwise; the others are scans of their own."""
    data = tmp_path / "data"
    for seed in range(4):
        write_scan(data, f"case{seed}", seed)
    for part in ("", "_seg"):
        image = nib.load(data / f"case2{part}.nii.gz")
        turned = image.as_reoriented([[1, -1], [0, 1], [2, 1]])
        kind = np.float32 if not part else np.uint8
        nib.save(nib.Nifti1Image(np.asarray(turned.dataobj, kind), turned.affine),
                 data / f"other{part}.nii.gz")  # fmt: skip
    cases = find_data_cases([data])
    assert find_doubles(cases) == [("case2", "other")]
    report = prepare([data], tmp_path / "pool", SMALL_PAPER, PrepareConfig(folds=3))
    rows = {row["name"]: row for row in (*report["cases"], *report["refused"])}
    assert rows["case2"]["patient"] == rows["other"]["patient"]
    assert rows["case2"]["fold"] == rows["other"]["fold"]
    assert "shows the same as other" in " ".join(rows["case2"]["notes"])
    others = {rows[f"case{seed}"]["patient"] for seed in (0, 1, 3)}
    assert len(others) == 3 and rows["case2"]["patient"] not in others
    json.dumps(report)
