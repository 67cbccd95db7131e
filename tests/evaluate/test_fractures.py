"""Fracture grades and densities against tables made up for it, and against drawn wedges."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from vertseg.errors import InputError, NoInputError
from vertseg.evaluate import main
from vertseg.evaluate.density import compare_density
from vertseg.evaluate.fractures import compare_grades, kappa, proportion
from vertseg.evaluate.phantom_parts import true_parts
from vertseg.evaluate.reader_tables import case_key, read_measured, read_table
from vertseg.geometry.centroid import Centroid
from vertseg.io.image import Image
from vertseg.measure.genant import genant_grade
from vertseg.measure.vertebra import measure_vertebrae
from vertseg.phantom import draw_subject


def write(path, rows) -> None:
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def summary_row(case: str, label: int, grade="", hu="") -> dict:
    return {"case": case, "label": label, "genant_grade_hint": grade, "trabecular_hu": hu}


def test_scores_of_a_table_counted_by_hand() -> None:
    truth = [0, 0, 0, 0, 0, 1, 1, 2, 3, 3]
    found = [0, 0, 0, 1, 2, 0, 1, 1, 3, None]
    cases = ["a"] * 5 + ["b"] * 5
    read = {
        (case, n): float(grade) for n, (case, grade) in enumerate(zip(cases, truth, strict=True), 1)
    }
    measured = {
        (case, n): grade for n, (case, grade) in enumerate(zip(cases, found, strict=True), 1)
    }
    scores = compare_grades({**read, ("c", 1): 2.0}, measured)
    assert (scores.vertebrae, scores.patients, scores.fractured) == (9, 2, 4)
    assert (scores.not_graded, scores.not_found) == (1, 1)
    assert scores.sensitivity[1].value == 0.75 and scores.sensitivity[2].value == 1.0
    assert scores.found_by_grade[1].value == 0.5
    assert scores.specificity.value == 0.6 and scores.false_positives.value == 1.0
    assert scores.grade_right.value == 0.5
    assert scores.table.tolist() == [[3, 1, 1, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert scores.kappa.low <= scores.kappa.value <= scores.kappa.high


def test_intervals_and_kappa_are_those_of_the_books() -> None:
    found = proportion(np.arange(10) < 8)  # Wilson: 0.490 to 0.943
    assert (found.value, round(found.low, 3), round(found.high, 3)) == (0.8, 0.490, 0.943)
    table = np.array([[20, 5], [10, 15]])
    assert kappa(table) == pytest.approx(0.4)
    assert kappa(np.diag([3, 4, 5])) == 1.0 and np.isnan(kappa(np.array([[9, 0], [0, 0]])))
    far, near = (
        np.array([[5, 0, 1], [0, 5, 0], [0, 0, 5]]),
        np.array([[5, 1, 0], [0, 5, 0], [0, 0, 5]]),
    )
    assert kappa(far, weighted=True) < kappa(near, weighted=True)
    assert np.isnan(proportion(np.zeros(0, bool)).value)


def test_tables_with_a_row_a_vertebra_and_with_a_column_a_level(tmp_path) -> None:
    (tmp_path / "wide.csv").write_text(
        "verse_ID;T12_fx-g;T12_fx-t;L1_fx-g;L6_fx-g\n4;1;9;0;\n5;;;2;\n"
    )
    expected = {("4", 19): 1.0, ("4", 20): 0.0, ("5", 20): 2.0}
    assert read_table(tmp_path / "wide.csv", ("grade", "fx-g")) == expected
    write(
        tmp_path / "long.csv",
        [
            {"Case": "sub-verse004", "Level": "T12", "Grade": "1"},
            {"Case": "verse004_ct.nii.gz", "Level": "20", "Grade": "0"},
            {"Case": "5", "Level": "l1", "Grade": "2"},
            {"Case": "5", "Level": "L2", "Grade": ""},
        ],
    )
    assert read_table(tmp_path / "long.csv", ("grade",)) == expected
    assert case_key("deep/sub-x_ct.nii.gz") == "x" and case_key("A.B.mha") == "a.b"


def test_tables_that_cannot_be_used_are_refused(tmp_path) -> None:
    (tmp_path / "bad.csv").write_text("who,what\na,b\n")
    with pytest.raises(InputError, match="no such columns"):
        read_table(tmp_path / "bad.csv", ("grade",))
    (tmp_path / "bad.csv").write_text("case,vertebra,grade\na,X9,1\n")
    with pytest.raises(InputError, match="not a vertebra"):
        read_table(tmp_path / "bad.csv", ("grade",))
    with pytest.raises(NoInputError):
        read_measured(tmp_path, "genant_grade_hint")
    with pytest.raises(NoInputError):
        compare_grades({("a", 1): 1.0}, {("b", 1): 1.0})
    with pytest.raises(NoInputError):
        compare_density({("a", 1): 1.0}, {("a", 1): 1.0})


def test_densities_lie_on_the_line_that_was_drawn() -> None:
    rng = np.random.default_rng(0)
    hu = {(f"p{n}", 20): float(x) for n, x in enumerate(rng.uniform(50, 250, 60))}
    read = {key: 0.8 * x + 12.0 + rng.normal(0, 4) for key, x in hu.items()}
    scores = compare_density(read, hu)
    assert scores.slope == pytest.approx(0.8, abs=0.03) and scores.r > 0.98
    assert scores.intercept == pytest.approx(12.0, abs=4.0)
    assert (
        scores.residual == pytest.approx(4.0, abs=1.0) and scores.r_low < scores.r < scores.r_high
    )
    of_scans = {(case, 0): value for (case, _), value in read.items()}
    assert compare_density(of_scans, hu).slope == pytest.approx(scores.slope)


def test_the_command_reads_the_summary_of_a_run(tmp_path, capsys) -> None:
    write(
        tmp_path / "summary.csv",
        [
            summary_row("a.nii.gz", n, grade, 100 + 7 * n)
            for n, grade in ((19, 1), (20, 0), (21, 2))
        ],
    )
    rows = [
        {"case": "a", "vertebra": name, "grade": grade, "bmd": bmd}
        for name, grade, bmd in (("T12", 1, 90), ("L1", 0, 95), ("L2", 3, 101))
    ]
    write(tmp_path / "reader.csv", rows)
    table = str(tmp_path / "reader.csv")
    arguments = ["--prediction", str(tmp_path), "--fractures", table, "--density", table]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "3 vertebrae of 1 patients, 2 fractured" in said and "slope" in said
    assert main(["--prediction", str(tmp_path), "--fractures", str(tmp_path / "absent.csv")]) == 2
    with pytest.raises(SystemExit):
        main(["--prediction", str(tmp_path)])


def test_drawn_wedges_are_graded_as_their_height_says() -> None:
    drawn, found = {}, {}
    for name, label in (("T12", 19), ("L1", 20), ("L2", 21)):
        for number, (share, grade) in enumerate(((0.0, 0), (0.5, 2), (0.75, 3))):
            sound = draw_subject(5).spine.vertebra(name)
            vertebra = replace(sound, variation=replace(sound.variation, collapse=share))
            grid, parts = true_parts(vertebra)
            labels = np.where(parts > 0, np.uint8(label), np.uint8(0))
            image = Image.from_array(np.where(labels > 0, 150, -80), grid.affine_ras)
            place = Centroid(label, tuple(vertebra.frame.origin))
            (row,) = measure_vertebrae(image, labels, [place])
            key = (f"p{number}", label)
            drawn[key], found[key] = float(grade), genant_grade(row)
    scores = compare_grades(drawn, found)
    assert scores.sensitivity[1].value == 1.0 and scores.specificity.value == 1.0
    assert scores.grade_right.value >= 0.8
