"""A rehearsal of the published evaluation, from files in VerSe's layout to both tables."""

import csv
import io

import keras
import numpy as np
import pytest

from tests.support.small_spines import LABELS, write_scan
from vertseg import cli
from vertseg.evaluate import evaluate
from vertseg.stages.weights import load_weights
from vertseg.training.__main__ import main
from vertseg.training.data.real_pool import fold_of_cases
from vertseg.training.reproduce import cost, run

UNSEEN = "verse031"


@pytest.fixture(autouse=True)
def same_policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def read_csv(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="its time is for one backend")
def test_six_small_scans_give_both_tables(tmp_path, capsys, monkeypatch):
    """Trains, cross-validates, predicts; finds the vertebrae of an unseen scan both ways."""
    for module in (cost, run):  # a third fold would be one more of the same
        monkeypatch.setattr(module, "FOLDS", 2)
    data, work = tmp_path / "verse", tmp_path / "work"
    for seed in range(6):
        write_scan(data / "training", f"verse{seed:03d}", seed)
    write_scan(data / "test", UNSEEN, 31)
    words = ["reproduce", "--data", data, "--work", work, "--preset", "small_paper"]
    main([str(word) for word in [*words, "--device", "cpu"]])
    told = capsys.readouterr().out
    assert "6 cases in 2 folds" in told and "GiB of memory" in told

    rows = {row["region"]: row for row in read_csv(work / "tables/table1.csv")}
    assert set(rows) >= {"lumbar", "all", "spine in x, y"} and "cervical" not in rows
    assert rows["all"]["identified"].endswith("of 24")
    assert (work / "tables/table1.md").read_text().startswith("| region | PE mm | ID % |")
    folds = fold_of_cases(work / "pool")
    for fold in range(2):
        held_out = load_weights(work / f"weights/fold{fold}").manifest["held_out"]
        own = sorted(name for name, other in folds.items() if other == fold)
        assert len(own) == 3 and all(sorted(names) == own for names in held_out.values())

    (row, *_) = read_csv(work / "tables/table2.csv")
    assert (row["set"], row["ID %"]) == ("test", "100.00"), told
    assert float(row["Dice"]) > 0.6 and float(row["PE mm"]) < 8
    weights, out = work / "weights/all", tmp_path / "usual"
    files = ["--input", data / "test", "--output", out, "--weights", weights, "--device", "cpu"]
    assert cli.main([str(word) for word in files]) == 0
    scores, _ = evaluate(data / "test", out)
    assert [s.label for s in scores if s.identified] == [*LABELS]
    manifest = load_weights(weights).manifest
    assert manifest["licence"].startswith("not stated")
    assert len(manifest["files"]["vertebrae"]["sigmas_px"]) == 25

    stamps = {path: path.stat().st_mtime_ns for path in work.rglob("*.h5")}
    main([str(word) for word in [*words, "--device", "cpu"]])  # all is done already
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.h5")} == stamps
    assert "Table 2" in capsys.readouterr().out
    assert np.isfinite(manifest["preset"]["vertebrae"]["peaks"]).all()
