"""Parts of the work: which stages run, and what is written of each."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, phantom_scan, write_scan
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.cli import main
from vertseg.errors import ConfigurationError
from vertseg.geometry.grid import Grid
from vertseg.io.heatmap import Heatmap
from vertseg.io.image import Image
from vertseg.sequence.solve import FoundVertebra, Rival, SequenceResult
from vertseg.stages import ALL_STAGES, FIND, SEGMENT_ONLY, SPINE_ONLY, parse_stages
from vertseg.stages.segmenter import Segmenter
from vertseg.stages.spine import seen_in

GRID = Grid.axis_aligned(np.array([48.0, 52.0, 80.0]), (6, 7, 9), (8.0, 8.0, 8.0))


class WithHeatmaps(FakeSegmenter):
    """Gives with each result a heatmap of the spine, and one of L1 and L2."""

    def __call__(self, image, on_progress=None, found=None):
        array = np.zeros((*GRID.size, 2), np.float32)
        array[2, 3, 4] = (1.0, 0.25)
        spine = Heatmap("spine", array[..., 0], GRID)
        both = (spine, Heatmap("vertebrae", array, GRID, (20, 21)))
        return replace(super().__call__(image, on_progress), heatmaps=both)


def run(tmp_path, segmenter=None, **changes):
    segmenter = segmenter or FakeSegmenter(POINTS)
    options = Options(input=tmp_path / "in", output=tmp_path / "out", **changes)
    return run_batch(options, lambda _: segmenter), segmenter


def files(tmp_path) -> set[str]:
    return {path.name for path in (tmp_path / "out").iterdir() if path.name[0] != "."}


def test_parts_that_can_be_asked_for() -> None:
    assert parse_stages("spine, vertebrae ,segmentation") == ALL_STAGES
    assert parse_stages("spine") == SPINE_ONLY
    assert parse_stages("vertebrae,spine") == FIND
    assert parse_stages("segmentation") == SEGMENT_ONLY
    for text in ("", "vertebrae", "spine,segmentation", "vertebrae,segmentation", "sacrum"):
        with pytest.raises(ConfigurationError, match="spine,vertebrae or"):
            parse_stages(text)


def test_the_spine_alone(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    outcome, _ = run(tmp_path, stages=SPINE_ONLY)
    (report,) = outcome.written
    assert report["status"] == "ok" and report["vertebrae"] == [] and report["flags"] == []
    assert report["spine"]["course_lps_mm"] == [list(point) for point in POINTS.values()]
    assert report["outputs"] == {"mask": None, "preview": "a_preview.png"}
    expected = {"a_preview.png", "a_report.json", "summary.csv", "index.html"}
    assert files(tmp_path) == expected
    assert run(tmp_path, stages=SPINE_ONLY)[1].calls == 0
    nothing, _ = run(tmp_path, FakeSegmenter(), stages=SPINE_ONLY, resume=False)
    assert nothing.written[0]["status"] == "no_spine"


def test_the_segmentation_alone_takes_only_scans_with_centroids(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    write_scan(tmp_path / "in" / "b.nii.gz")
    run(tmp_path, only="a*")
    (tmp_path / "given").mkdir()
    (tmp_path / "out" / "a_ctd.json").rename(tmp_path / "given" / "a_ctd.json")
    outcome, segmenter = run(tmp_path, stages=SEGMENT_ONLY, centroids=tmp_path / "given")
    assert outcome.exit_code == 2 and segmenter.calls == 0 and set(segmenter.given) == set(POINTS)
    ((report, error),) = outcome.failures
    assert report["case"] == "b.nii.gz" and "no centroid file" in error.what
    paths = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main([*paths, "--stages", "segmentation"], lambda _: FakeSegmenter()) == 1


def test_heatmaps_lie_in_the_world_of_the_scan(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    outcome, _ = run(tmp_path, WithHeatmaps(POINTS), heatmaps=True)
    written = outcome.written[0]["outputs"]
    assert outcome.written[0]["heatmap_labels"] == [20, 21]
    assert written["spine_heatmap"] == "a_desc-spine_heatmap.nii.gz"
    stored = nib.load(tmp_path / "out" / written["vertebrae_heatmap"])
    assert stored.shape == (6, 7, 9, 2)
    values = stored.get_fdata()
    assert values[2, 3, 4] == pytest.approx([1.0, 0.25], abs=0.002) and values.sum() < 1.26
    place = (stored.affine @ (2, 3, 4, 1))[:3] * (-1, -1, 1)
    assert place == pytest.approx(GRID.index_to_lps((2, 3, 4)))
    # Heatmaps are no scans, are made again if they are lost, and do no harm if not asked for.
    write_scan(tmp_path / "both" / "scan.nii.gz")
    shutil.copy(tmp_path / "out" / written["spine_heatmap"], tmp_path / "both")
    assert [case.name for case in find_cases(tmp_path / "both").cases] == ["scan.nii.gz"]
    assert run(tmp_path, WithHeatmaps(POINTS), heatmaps=True)[1].calls == 0
    (tmp_path / "out" / "a_desc-spine_heatmap.nii.gz").unlink()
    assert run(tmp_path, WithHeatmaps(POINTS), heatmaps=True)[1].calls == 1
    assert run(tmp_path)[1].calls == 0


def test_reports_of_parts_are_plain_json(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    for stages in (SPINE_ONLY, FIND, ALL_STAGES):
        run(tmp_path, stages=stages)
        report = json.loads((tmp_path / "out" / "a_report.json").read_text())
        assert report["options"]["stages"] == list(stages)


def test_doubt_about_the_levels_is_a_warning(monkeypatch) -> None:
    found = FoundVertebra(20, POINTS[20], 0.9, mass=0.9, margin=2.0, place=0)
    chain = SequenceResult(*((found,), 1.0, 2.0, Rival({0: 21}, "L1 may be L2"), True), warnings=())

    def network(weights, stage, device, turns):
        config, shortage = SimpleNamespace(labels=(20,)), "slow" if stage == "spine" else ""
        made = SimpleNamespace(config=config, shortage=shortage, crop_bytes=1)
        made.afresh = lambda: made
        return made

    monkeypatch.setattr("vertseg.stages.network.StageNetwork", network)
    spine = SimpleNamespace(course_lps_mm=lambda: ())
    monkeypatch.setattr("vertseg.stages.spine.find_spine", lambda *_: spine)
    search = SimpleNamespace(whole=lambda: chain)
    monkeypatch.setattr("vertseg.stages.vertebrae.search_vertebrae", lambda *_: search)
    image = Image.from_array(phantom_scan(), np.diag([-4.0, -4.0, 4.0, 1.0]))
    result = Segmenter(device="cpu").find(image)
    assert result.warnings == ("levels are uncertain: L1 may be L2", "slow")


@pytest.mark.parametrize("turned", [False, True])
def test_a_voxel_counts_where_the_scan_has_its_centre(turned) -> None:
    rng = np.random.default_rng(4)
    grid = Grid.axis_aligned(np.array([3.0, -5.0, 8.0]), (12, 10, 14), (8.0, 8.0, 8.0))
    centres = grid.index_to_lps(np.moveaxis(np.indices(grid.size), 0, -1))
    for size in ((40, 30, 9), (11, 80, 23)):  # with edges that run through centres, too
        axes = np.linalg.qr(rng.normal(size=(3, 3)))[0] if turned else np.diag([-1.0, 1.0, -1.0])
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = axes @ np.diag([1.0, 2.0, 4.0]), (9.0, -17.0, 20.0)
        source = Grid(size, affine)
        seen = seen_in(grid, source)
        assert 0 < seen.sum() < seen.size
        np.testing.assert_array_equal(seen, source.contains(centres))
