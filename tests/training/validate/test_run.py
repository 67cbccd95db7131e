"""The validation command, with a program that copies the truth, or shifts it by a level."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vertseg.errors import ConfigurationError
from vertseg.evaluate.chest_ct import SampleError
from vertseg.evaluate.scores import VertebraScore
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import write_centroids
from vertseg.training.data.real import HELD_OUT
from vertseg.training.validate import run as module
from vertseg.training.validate.tables import is_shifted

GRID = Grid.axis_aligned(np.zeros(3), (60, 60, 200), (2.0, 2.0, 2.0))


def centroid_file(folder: Path, subject: str, first: int) -> None:
    points = [Centroid(first + i, (0.0, 0.0, 100.0 - 25 * i)) for i in range(6)]
    folder.mkdir(parents=True, exist_ok=True)
    write_centroids(folder / f"{subject}_seg-subreg_ctd.json", points, GRID)


def volume_file(folder: Path, subject: str, thicker: int = 0) -> None:
    """A mask of L1, 10 x 20 x 10 voxels, and one more row in depth for each `thicker`."""
    import nibabel as nib

    folder.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(GRID.size, np.uint8)
    mask[20:30, 20 : 40 + thicker, 40:50] = 20
    nib.save(nib.Nifti1Image(mask, GRID.affine_ras), folder / f"{subject}_seg-vert_msk.nii.gz")


def scan(folder: Path, subject: str) -> None:
    """A scan gives the grid that the centroid file counts in."""
    import nibabel as nib

    folder.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.eye(60, dtype=np.int16)[..., None].repeat(200, 2), GRID.affine_ras)
    nib.save(image, folder / f"{subject}_ct.nii.gz")


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    for name in ("taichi", "lfcp"):
        scan(folder / f"ct/rawdata/sub-{name}", f"sub-{name}")
        centroid_file(folder / f"ct/derivatives/sub-{name}", f"sub-{name}", 14)

    def write_cases(source, target, count, which):
        for number in range(count):
            subject = f"sub-factory{number:03d}"
            scan(target / "rawdata" / subject, subject)
            centroid_file(target / "derivatives" / subject, subject, 14)
        marks = {f"sub-factory{n:03d}": ["lumbar", "L6"][: 1 + n % 2] for n in range(count)}
        (target / "marks.json").write_text(json.dumps(marks))

    def no_network(folder):
        raise SampleError("no network", where="")

    monkeypatch.setattr(module, "write_cases", write_cases)
    monkeypatch.setattr(module, "fetch_chest_ct", no_network)
    return folder


def program(shifted: tuple[str, ...] = ()):
    def main(arguments):
        given = dict(zip(arguments[::2], arguments[1::2], strict=True))
        scans = Path(given["--input"])
        for path in (*scans.glob("*/*_ct.nii.gz"), *scans.glob("*_ct.nii.gz")):
            subject = path.name.removesuffix("_ct.nii.gz")
            target = Path(given["--output"]) / subject
            shifts = subject in shifted
            centroid_file(target, subject, 15 if shifts else 14)
            shutil.copyfile(path, target / path.name)
            (target / f"{subject}_preview.png").write_bytes(subject.encode())
            if "--centroids" in given:
                assert (Path(given["--centroids"]) / f"{subject}_ctd.json").is_file()
                volume_file(target, subject, thicker=1)
            report = {"sequence": {"margin_nats": 1.0 if shifts else 9.0}}
            (target / f"{subject}_report.json").write_text(json.dumps(report))
        return 0

    return main


def test_only_held_out_scans_are_scored_and_all_is_right(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module.cli, "main", program())
    text = module.validate(data, tmp_path / "work", count=2)
    assert sorted(p.name for p in (tmp_path / "work/real/rawdata").iterdir()) == ["sub-taichi"]
    factory, real = text.split("## real")
    assert "| L6 | 1 | 100.0 |" in factory and "| nothing hard | 1 | 100.0 |" in factory
    assert "| >= 8 | 1 | 0 |" in real and "chest" not in text


def test_names_alone_are_scored_without_a_segmentation(data, tmp_path, monkeypatch):
    volume_file(data / "ct/derivatives/sub-taichi", "sub-taichi")
    calls = []

    def main(arguments):
        calls.append(arguments)
        return program(("sub-lfcp",))(arguments)

    monkeypatch.setattr(module.cli, "main", main)
    text = module.validate_names(data / "ct", tmp_path / "work", numbering="any")
    (options,) = (call[-4:] for call in calls)
    assert options == ["--stages", "spine,vertebrae", "--numbering", "any"]
    assert "-100.0" not in text  # there are no masks to compare
    assert "| all names right | 1 of 2 (50.0 %) |" in text and "Not asked: sub-lfcp" in text
    assert "| vertebrae with a wrong name, and not asked | 5 of 12 (41.7 %) |" in text


def test_each_real_scan_is_scored_by_weights_that_have_not_seen_it(data, tmp_path, monkeypatch):
    never = {"a": ["taichi", "thorax4mm"], "b": ["lfcp", "taichi"], "c": ["lfcp"]}
    scan(data / "ct/rawdata/sub-thorax4mm", "sub-thorax4mm")
    centroid_file(data / "ct/derivatives/sub-thorax4mm", "sub-thorax4mm", 14)
    for fold in never:
        (tmp_path / "folds" / fold).mkdir(parents=True)
        (tmp_path / "folds" / fold / "manifest.json").touch()

    def load_weights(folder):
        names = never[folder.name]
        spine = [name for name in names if name != "thorax4mm"]
        held_out = {"spine": spine, "vertebrae": [*names, "trunk4mm"], "segmentation": []}
        return SimpleNamespace(manifest={"held_out": held_out})

    monkeypatch.setattr(module, "load_weights", load_weights)
    monkeypatch.setattr(module.cli, "main", program(("sub-lfcp",)))
    text = "\n".join(module.in_folds(data / "ct", tmp_path / "work", tmp_path / "folds"))
    done = {p.parent.parent.name: p.name for p in (tmp_path / "work/folds").glob("*/rawdata/*fcp")}
    assert done == {"b": "sub-lfcp"}  # c has no scan left
    assert "The spine stage, but not the vertebrae stage, has seen thorax4mm." in text
    assert "| sub-taichi | 6 | 6 | 0 | 0.0 |" in text
    assert "| sub-thorax4mm | 4 | 4 | 0 | 0.0 |" in text  # T11 and T12 may be others there
    assert "| sub-lfcp | 6 | 0 | 6 |" in text and "| >= 0 | 3 | 1 |" in text
    never["b"] = ["taichi"]  # other weights of that name have seen lfcp, whose links are there
    text = "\n".join(module.in_folds(data / "ct", tmp_path / "work", tmp_path / "folds"))
    assert text.count("| sub-lfcp |") == 1 and "| >= 0 | 3 | 1 |" in text  # by c, as shifted
    never["c"] = ["taichi"]
    text = "\n".join(module.in_folds(data / "ct", tmp_path / "work", tmp_path / "folds"))
    assert "sub-lfcp" not in text


def test_folds_need_weights(data, tmp_path):
    with pytest.raises(ConfigurationError, match="left a scan out"):
        module.in_folds(data / "ct", tmp_path / "work", tmp_path)


def test_shifted_cases_are_counted_by_their_margin(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module.cli, "main", program(("sub-factory001",)))
    factory = module.validate(data, tmp_path / "work", count=2).split("## real")[0]
    assert "| L6 | 1 | 0.0 |" in factory and "| nothing hard | 1 | 100.0 |" in factory
    assert "| >= 0 | 2 | 1 |" in factory and "| >= 2 | 1 | 0 |" in factory


def test_a_program_that_does_not_run_is_no_result(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module.cli, "main", lambda arguments: 1)
    with pytest.raises(ConfigurationError):
        module.validate(data, tmp_path / "work", count=1)


def test_a_case_without_predictions_is_not_shifted():
    missing = [VertebraScore("a", 20, annotated=True)]
    assert not is_shifted(missing)
    assert is_shifted([VertebraScore("a", 20, annotated=True, predicted=True)])


def test_masks_are_also_scored_from_true_centroids(data, tmp_path, monkeypatch):
    scan(data / "ct/rawdata/sub-tptbox", "sub-tptbox")
    volume_file(data / "ct/derivatives/sub-tptbox", "sub-tptbox")
    monkeypatch.setattr(module.cli, "main", program())
    work = tmp_path / "work"
    text = module.validate(data, work, count=1).split("### real, segmented from true centroids")[1]
    assert "| L1 | 1 | 0.976 | 2.00 | 2.00 | 5.00 |" in text
    assert "| slices of 3 mm (1.5 to 4), lumbar | 1 | 0.976 |" in text
    given = json.loads((work / "given/real/centroids/sub-tptbox_ctd.json").read_text())
    assert [entry["label"] for entry in given if "label" in entry] == [20]
    assert [p.name for p in (work / "worst/real").iterdir()] == ["1_sub-tptbox.png"]


def test_scans_that_a_stage_has_seen_are_told(monkeypatch):
    held_out = {"spine": list(HELD_OUT), "vertebrae": ["tptbox"], "segmentation": ["totalseg"]}
    weights = SimpleNamespace(manifest={"held_out": held_out})
    monkeypatch.setattr(module, "load_weights", lambda folder: weights)
    assert module.seen_in_training(None) == [
        "The vertebrae stage was free to train on totalseg, taichi, thorax1mm.",
        "The segmentation stage was free to train on tptbox.",
    ]


def test_names_in_folds_are_found_without_a_segmentation(data, tmp_path, monkeypatch):
    (tmp_path / "folds/a").mkdir(parents=True)
    (tmp_path / "folds/a/manifest.json").touch()
    held_out = {"held_out": {"spine": [], "vertebrae": ["lfcp"]}}
    monkeypatch.setattr(module, "load_weights", lambda folder: SimpleNamespace(manifest=held_out))
    calls = []
    monkeypatch.setattr(module.cli, "main", lambda a: calls.append(a) or program()(a))
    work, folds = tmp_path / "work", tmp_path / "folds"
    text = module.validate_names(data / "ct", work, numbering="usual", folds=folds)
    (given,) = (dict(zip(call[::2], call[1::2], strict=True)) for call in calls)
    assert given["--weights"] == str(folds / "a")
    assert given["--stages"] == "spine,vertebrae" and given["--numbering"] == "usual"
    assert "| sub-lfcp | 6 | 6 | 0 | 0.0 |" in text and "taichi" not in text
