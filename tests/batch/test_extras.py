"""Outputs that are asked for besides: written with the others, recorded, removed with them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.cli import main
from vertseg.io.image import Image
from vertseg.io.read import read_image
from vertseg.stages.fine import FineMask, fine_grid


def run(tmp_path: Path, **changes):
    segmenter = FakeSegmenter(POINTS)
    options = Options(input=tmp_path / "in", output=tmp_path / "out", **changes)
    return run_batch(options, lambda _: segmenter), segmenter


def names(tmp_path: Path) -> set[str]:
    usual = {"a_seg.nii.gz", "a_ctd.json", "a_report.json", "a_preview.png"}
    every = {path.name for path in (tmp_path / "out").iterdir()}
    return every - usual - {"summary.csv", "index.html"}


def test_nothing_is_written_that_was_not_asked_for(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    run(tmp_path)
    assert names(tmp_path) == set()


def test_markups_have_the_centroids_in_the_world(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    outcome, _ = run(tmp_path, markups=True)
    assert names(tmp_path) == {"a_ctd.mrk.json"}
    assert outcome.written[0]["outputs"]["markups"] == "a_ctd.mrk.json"
    from vertseg.io.centroids import read_centroids

    found, fmt = read_centroids(tmp_path / "out" / "a_ctd.mrk.json", read_image_of(tmp_path))
    assert fmt == "markups" and {c.label: c.point_lps_mm for c in found} == POINTS


def read_image_of(tmp_path: Path) -> Image:
    return read_image(tmp_path / "in" / "a.nii.gz")


def test_parts_fill_the_mask_and_go_into_report_and_summary(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    outcome, _ = run(tmp_path, parts=True)
    assert names(tmp_path) == {"a_desc-parts_msk.nii.gz", "a_desc-bone_msk.nii.gz"}
    maps = {
        name: np.asarray(nib.load(tmp_path / "out" / f"a_{name}.nii.gz").dataobj)
        for name in ("seg", "desc-parts_msk", "desc-bone_msk")
    }
    assert ((maps["seg"] > 0) == (maps["desc-parts_msk"] > 0)).all()
    assert set(np.unique(maps["desc-bone_msk"])) <= {0, 1, 2}
    (report,) = outcome.written
    parts = report["vertebrae"][0]["parts"]
    assert sum(row["volume_ml"] for row in parts.values()) > 0
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").read_text().splitlines()))
    assert float(rows[0]["cortical_volume_ml"]) == parts["cortical"]["volume_ml"]
    assert rows[0]["body_volume_ml"] or rows[0]["whole_volume_ml"]
    run(tmp_path, resume=False)
    header = (tmp_path / "out" / "summary.csv").read_text().splitlines()[0]
    assert "cortical" not in header


def test_meshes_are_one_scene_or_a_file_a_vertebra(tmp_path) -> None:
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("skimage")
    write_scan(tmp_path / "in" / "a.nii.gz")
    outcome, _ = run(tmp_path, meshes="glb", parts=True)
    scene = trimesh.load(tmp_path / "out" / "a_meshes.glb")
    nodes = set(scene.graph.nodes_geometry)
    assert {"L1", "L2", "L3"} < nodes and any(name.startswith("L1 ") for name in nodes)
    mask = np.asarray(nib.load(tmp_path / "out" / "a_seg.nii.gz").dataobj)
    volume = np.count_nonzero(mask == 20) * 4.0**3
    assert scene.geometry["L1"].volume == pytest.approx(volume, rel=0.02)
    np.testing.assert_allclose(scene.geometry["L1"].center_mass, POINTS[20], atol=1.0)
    assert outcome.written[0]["outputs"]["meshes"] == "a_meshes.glb"
    outcome, _ = run(tmp_path, meshes="stl")
    assert {f"a_desc-L{n}_mesh.stl" for n in (1, 2, 3)} <= names(tmp_path)
    assert outcome.written[0]["outputs"]["mesh_L2"] == "a_desc-L2_mesh.stl"


def test_a_scan_without_a_spine_has_no_meshes_and_no_failure(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    options = Options(
        input=tmp_path / "in", output=tmp_path / "out", meshes="glb", parts=True, markups=True
    )
    outcome = run_batch(options, lambda _: FakeSegmenter())
    assert outcome.exit_code == 0
    assert "a_meshes.glb" not in names(tmp_path) and "a_ctd.mrk.json" in names(tmp_path)


def test_finding_alone_writes_markups_and_no_parts(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    from vertseg.stages import FIND

    outcome, _ = run(tmp_path, stages=FIND, markups=True, parts=True, meshes="glb")
    assert outcome.exit_code == 0 and names(tmp_path) == {"a_ctd.mrk.json"}


def test_the_mask_at_1_mm_is_written_and_relabelled_with_the_others(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    grid = fine_grid(read_image_of(tmp_path).grid)
    labels = np.zeros(grid.size, np.uint8)
    labels[20:30, 20:30, 40:60], labels[20:30, 20:30, 60:80] = 20, 21

    class Fine(FakeSegmenter):
        def __call__(self, image, on_progress=None, found=None):
            return replace(super().__call__(image, on_progress), fine=FineMask(labels, grid))

    options = Options(input=tmp_path / "in", output=tmp_path / "out", mask_1mm=True)
    run_batch(options, lambda _: Fine(POINTS))
    path = tmp_path / "out" / "a_res-1mm_seg.nii.gz"
    stored = nib.load(path)
    np.testing.assert_allclose(stored.affine, grid.affine_ras, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(stored.dataobj), labels)
    assert main(["relabel", str(tmp_path / "out"), "--case", "a", "--shift", "1"]) == 0
    moved = np.asarray(nib.load(path).dataobj)
    np.testing.assert_array_equal(moved, np.where(labels > 0, labels + 1, 0))
    np.testing.assert_allclose(nib.load(path).affine, grid.affine_ras, atol=1e-5)
