"""The commands for data sets from the command line, with tiny networks that learned nothing."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest

from models import PRESETS, build_network, preset_to_dict
from vertseg.phantom import make_phantom, write_phantom
from vertseg.stages import Stage
from vertseg.stages.weights import FORMAT
from vertseg.system.atomic import write_json
from vertseg.system.fingerprint import sha256_of
from vertseg.training.__main__ import main


def small(stage):
    network = dataclasses.replace(
        stage.network, filters=(8, 8), windows=(), local_contrast_px=0.0,
        spatial_filters=8, spatial_kernel=3, spatial_factor=2,
    )  # fmt: skip
    overlap = 4 if stage.overlap else 0
    return dataclasses.replace(stage, network=network, size=(24, 24, 24), overlap=overlap)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    stages = {stage: small(getattr(PRESETS["default"], stage)) for stage in Stage}
    preset = dataclasses.replace(PRESETS["default"], name="tiny", **stages)
    files = {}
    for stage in Stage:
        path = folder / f"{stage}.weights.h5"
        build_network(preset, stage).save_weights(path)
        files[stage] = {"file": path.name, "sha256": sha256_of(path)}
    manifest = {"format": FORMAT, "preset": preset_to_dict(preset), "files": files}
    write_json(folder / "manifest.json", manifest)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One scan with its mask and one with points alone."""
    folder = tmp_path_factory.mktemp("data")
    phantom = make_phantom(("L1", "L2"), 4.0, 2, field_mm=(150.0, 150.0), noise_hu=5.0)
    write_phantom(phantom, folder / "verse004.nii.gz")
    _, mask, _ = write_phantom(phantom, folder / "verse005.nii.gz")
    mask.unlink()
    return folder


def test_each_command_does_its_work(weights, data, tmp_path, capsys):
    words = ["--data", str(data)]
    pool, scores, masks = (tmp_path / name for name in ("pool", "scores", "masks"))
    main(["prepare", *words, "--to", str(pool), "--folds", "2", "--same-patient", "verse004,x"])
    told = capsys.readouterr().out
    assert "2 cases of 1 patient with" in told and "shows the same as verse005" in told
    main([
        "crossvalidate", *words, "--weights", str(weights), "--to", str(scores), "--device", "cpu",
        "--only", "verse004",
    ])  # fmt: skip
    printed = capsys.readouterr().out
    assert printed == (scores / "scores.txt").read_text() and "Spine stage: " in printed
    assert len((scores / "vertebrae.csv").read_text().splitlines()) >= 3
    main([
        "pseudolabel", *words, "--weights", str(weights), "--to", str(masks), "--device", "cpu"
    ])  # fmt: skip
    assert "in 1 scans are kept" in capsys.readouterr().out
    assert (masks / "pictures/verse005.png").is_file()
    for path in masks.rglob("*_msk.nii.gz"):
        assert np.asarray(nib.load(path).dataobj).any()


def test_trouble_has_an_exit_code_and_a_reason(data, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["prepare", "--data", str(tmp_path), "--to", str(tmp_path / "pool")])
    assert stop.value.code == 3 and "holds no centroid file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["crossvalidate", "--data", str(data), "--weights", str(tmp_path)])
    assert stop.value.code == 1 and "manifest.json" in capsys.readouterr().err
