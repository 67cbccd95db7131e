"""What a run may replace: its own outputs that nobody has changed, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, phantom_scan, write_scan
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.batch.staging import Staging
from vertseg.errors import OutputError
from vertseg.report.files import read_report
from vertseg.stages import FIND, SPINE_ONLY
from vertseg.system.locks import Lock

OTHERS = ("a_seg.nii.gz", "a_ctd.json", "a_preview.png", "a_report.json")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    write_scan(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "out").mkdir()
    return tmp_path / "in", tmp_path / "out"


def run(folders, before=None, points=POINTS, **changes):
    segmenter = FakeSegmenter(points, before=before)
    return run_batch(Options(*folders, **changes), lambda _: segmenter), segmenter


def contents(folder: Path) -> dict[str, str]:
    """Hash of every output of a scan."""
    files = (p for p in folder.glob("[!.]*") if p.name not in ("summary.csv", "index.html"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def other_scan(folders, value: int = 7) -> None:
    hu = phantom_scan()
    hu[0, 0, 0] = value
    write_scan(folders[0] / "a.nii.gz", hu=hu)


def break_scan(folders) -> None:
    path = folders[0] / "a.nii.gz"
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_no_report_names_is_kept_and_told(folders, name) -> None:
    (folders[1] / name).write_bytes(b"by hand")
    outcome, segmenter = run(folders)
    assert outcome.exit_code == 2 and segmenter.calls == 0
    ((_, error),) = outcome.failures
    assert isinstance(error, OutputError) and error.where == str(folders[1] / name)
    assert "not written by this program" in error.what and "--overwrite" in error.remedy
    assert (folders[1] / name).read_bytes() == b"by hand"
    assert set(contents(folders[1])) <= {name, "a_report.json"}
    outcome, segmenter = run(folders, overwrite=True)
    assert outcome.exit_code == 0 and segmenter.calls == 1
    assert set(contents(folders[1])) == set(OTHERS)
    assert (folders[1] / name).read_bytes() != b"by hand"


def test_files_that_the_run_does_not_write_are_never_touched(folders) -> None:
    (folders[1] / "a_seg.dcm").write_bytes(b"by another program")
    (folders[1] / "a_desc-spine_heatmap.nii.gz").write_bytes(b"too")
    assert run(folders)[0].exit_code == 0
    other_scan(folders)
    assert run(folders)[0].exit_code == 0
    assert (folders[1] / "a_seg.dcm").read_bytes() == b"by another program"
    assert (folders[1] / "a_desc-spine_heatmap.nii.gz").read_bytes() == b"too"


@pytest.mark.parametrize("name", OTHERS)
def test_an_edited_output_is_kept_unless_overwrite_says_so(folders, name) -> None:
    run(folders)
    path = folders[1] / name
    if name == "a_report.json":
        path.write_text(path.read_text().replace('"notice"', '"remark": "seen", "notice"'))
    else:
        path.write_bytes(path.read_bytes() + b" ")
    edited = contents(folders[1])
    outcome, segmenter = run(folders)
    assert outcome.exit_code == 0 and segmenter.calls == 0  # it is complete
    outcome, segmenter = run(folders, resume=False)
    assert outcome.exit_code == 2 and segmenter.calls == 0
    ((_, error),) = outcome.failures
    assert error.where == str(path) and "was changed since" in error.what
    assert contents(folders[1]) == edited
    assert run(folders, resume=False, overwrite=True)[0].exit_code == 0


def test_an_output_edited_while_the_networks_run_is_kept(folders) -> None:
    run(folders)
    path = folders[1] / "a_ctd.json"
    outcome, segmenter = run(folders, lambda _: path.write_text("edited"), resume=False)
    assert outcome.exit_code == 2 and segmenter.calls == 1
    assert path.read_text() == "edited"
    assert not list(folders[1].glob(".*"))


def test_a_report_is_named_with_the_hash_of_each_output(folders) -> None:
    run(folders)
    report, found = read_report(folders[1] / "a_report.json"), contents(folders[1])
    assert report["output_sha256"] == {
        kind: found[name] for kind, name in report["outputs"].items() if name
    }
    assert set(report["outputs"]) == {"mask", "centroids", "preview"}


@pytest.mark.parametrize("stages", [SPINE_ONLY, FIND])
def test_a_part_of_a_complete_run_is_complete(folders, stages) -> None:
    run(folders)
    before = contents(folders[1])
    outcome, segmenter = run(folders, stages=stages)
    assert outcome.exit_code == 0 and segmenter.calls == 0
    assert contents(folders[1]) == before


def test_outputs_that_a_run_did_not_ask_for_stay_and_the_report_says_whose_they_are(
    folders,
) -> None:
    run(folders)
    before, first = contents(folders[1]), read_report(folders[1] / "a_report.json")
    outcome, _ = run(folders, stages=SPINE_ONLY, resume=False)
    after, (report,) = contents(folders[1]), outcome.written
    for kind, name in (("mask", "a_seg.nii.gz"), ("centroids", "a_ctd.json")):
        assert after[name] == before[name]
        earlier = report["earlier_outputs"][kind]
        assert (earlier["file"], earlier["sha256"]) == (name, before[name])
        assert earlier["options"] == first["options"] and earlier["created"] == first["created"]
    assert report["outputs"]["mask"] is None and "centroids" not in report["outputs"]
    assert set(report["earlier_outputs"]) == {"mask", "centroids"}
    # They are still the program's own: a full run replaces them, another scan removes them.
    outcome, _ = run(folders, points={20: POINTS[20]})
    assert outcome.exit_code == 0 and "earlier_outputs" not in outcome.written[0]
    assert contents(folders[1])["a_ctd.json"] != before["a_ctd.json"]
    run(folders, stages=SPINE_ONLY, resume=False)
    other_scan(folders)
    assert run(folders, stages=SPINE_ONLY)[0].exit_code == 0
    assert set(contents(folders[1])) == {"a_report.json", "a_preview.png"}


def test_an_edited_mask_survives_a_run_of_the_spine_alone(folders) -> None:
    run(folders)
    (folders[1] / "a_seg.nii.gz").write_bytes(b"edited")
    assert run(folders, stages=SPINE_ONLY, resume=False)[0].exit_code == 0
    assert (folders[1] / "a_seg.nii.gz").read_bytes() == b"edited"
    assert run(folders, resume=False)[0].exit_code == 2
    assert (folders[1] / "a_seg.nii.gz").read_bytes() == b"edited"


def test_a_report_of_version_0_1_owns_what_it_names(folders) -> None:
    """It has neither hashes nor a seal; its case is done again because of its version."""
    run(folders)
    path = folders[1] / "a_report.json"
    report = json.loads(path.read_text())
    for name in ("output_sha256", "sha256"):
        del report[name]
    del report["input"]["place"], report["input"]["stamp"]
    report["software"]["vertseg"] = "0.1.0"
    path.write_text(json.dumps(report))
    outcome, segmenter = run(folders)
    assert outcome.exit_code == 0 and segmenter.calls == 1
    assert read_report(path)["software"]["vertseg"] != "0.1.0"


# ------------------------------------------------------------- kills and failures


class Killed(BaseException):
    """Ends a run at once; nothing is caught, nothing is cleared up."""


def killed_run(folders, monkeypatch, place: str, **changes) -> None:
    """A run that is killed at a step of putting its outputs in place."""
    steps = {"replace": os.replace, "unlink": Path.unlink}

    def kill_at(*arguments, **keywords):
        kill_at.left -= 1
        if kill_at.left < 0:
            raise Killed
        return steps[name](*arguments, **keywords)

    name, kill_at.left = place.split()[0], int(place.split()[1])
    target = {"replace": (os, "replace"), "unlink": (Path, "unlink")}[name]
    real, release = Staging.put_in_place, Lock.release

    def put_in_place(staging) -> None:
        monkeypatch.setattr(*target, kill_at)
        real(staging)

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "put_in_place", put_in_place)
        patch.setattr(Staging, "discard", lambda _: None)
        patch.setattr(Lock, "release", lambda lock, **_: release(lock, keep_file=True))
        with pytest.raises(Killed):
            run(folders, **changes)
    monkeypatch.undo()


def check_told(folders, points) -> None:
    """Report and outputs are of one scan."""
    report = read_report(folders[1] / "a_report.json")
    assert [row["label"] for row in report["vertebrae"]] == list(points)
    listed = json.loads((folders[1] / "a_ctd.json").read_text())[1:]
    assert [entry["label"] for entry in listed] == list(points)
    for kind, name in report["outputs"].items():
        assert report["output_sha256"][kind] == contents(folders[1])[name]


KILLS = ["replace 0", "unlink 0", "unlink 2", "replace 1", "replace 2", "replace 3", "replace 4"]


@pytest.mark.parametrize("place", KILLS)
@pytest.mark.parametrize("then", ["good", "broken", "another"])
def test_a_kill_at_any_step_of_a_redo_mixes_nothing(folders, monkeypatch, place, then) -> None:
    run(folders)
    other_scan(folders)
    one = {20: POINTS[20]}
    killed_run(folders, monkeypatch, place, points=one)
    seen = set(contents(folders[1])) - {"a_report.json"}
    if (folders[1] / "a_report.json").exists():
        check_told(folders, POINTS)
    elif "a_ctd.json" in seen and "a_seg.nii.gz" in seen:
        mask = np.unique(np.asarray(nifti(folders[1] / "a_seg.nii.gz")))
        listed = json.loads((folders[1] / "a_ctd.json").read_text())[1:]
        assert set(mask) - {0} == {entry["label"] for entry in listed}
    if then == "broken":
        break_scan(folders)
        assert run(folders)[0].exit_code == 3
        assert set(contents(folders[1])) == {"a_report.json"}
        assert read_report(folders[1] / "a_report.json")["status"] == "failed"
    else:
        if then == "another":
            other_scan(folders, 8)
        outcome, segmenter = run(folders, points=one)
        assert outcome.exit_code == 0 and segmenter.calls == (then == "another")
        check_told(folders, one)
    assert not list(folders[1].glob(".*"))


def nifti(path: Path) -> np.ndarray:
    import nibabel as nib

    return np.asarray(nib.load(path).dataobj)


def test_an_output_edited_after_a_kill_is_kept(folders, monkeypatch) -> None:
    run(folders)
    other_scan(folders)
    killed_run(folders, monkeypatch, "replace 2", points={20: POINTS[20]})
    (folders[1] / "a_seg.nii.gz").write_bytes(b"by hand")
    outcome, _ = run(folders)
    assert outcome.exit_code == 2
    assert (folders[1] / "a_seg.nii.gz").read_bytes() == b"by hand"
    assert run(folders)[0].exit_code == 2
    assert run(folders, overwrite=True)[0].exit_code == 0
    assert not list(folders[1].glob(".*"))


def test_a_scan_that_cannot_be_read_for_a_while_keeps_its_results(folders) -> None:
    run(folders)
    before = contents(folders[1])
    path = folders[0] / "a.nii.gz"
    path.rename(folders[0] / "kept")
    path.symlink_to(folders[0] / "away")
    outcome, _ = run(folders)
    assert outcome.exit_code == 2 or outcome.exit_code == 3
    assert contents(folders[1]) == before


def test_a_failed_redo_of_the_same_scan_keeps_the_results(folders) -> None:
    run(folders)
    before = contents(folders[1])

    def trouble(_) -> None:
        raise MemoryError

    outcome, _ = run(folders, trouble, centroid_format="verse19")
    assert outcome.exit_code == 2
    assert contents(folders[1]) == before
    page = (folders[1] / "index.html").read_text()
    assert 'data-status="failed"' in page and "not enough memory" in page
