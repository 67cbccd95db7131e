"""Which folders train and which test, how long it is, and what is refused."""

import dataclasses

import numpy as np
import pytest

from models import PRESETS, build_network
from vertseg.errors import ConfigurationError, NoInputError
from vertseg.evaluate.scores import VertebraScore
from vertseg.stages import Stage
from vertseg.training.__main__ import main
from vertseg.training.presets import SMALL_PAPER
from vertseg.training.reproduce.cost import Cost, forward_flops, in_words
from vertseg.training.reproduce.kept_scores import save_scores, saved_scores
from vertseg.training.reproduce.plan import Plan
from vertseg.training.reproduce.tables import table_1, table_2, write_table
from vertseg.training.validate.stage_scores import CaseScores, SpineScore

NAN = float("nan")


def plan(tmp_path, *folders, **changes):
    for folder in folders:
        (tmp_path / folder).mkdir()
    return Plan(tmp_path, tmp_path / "work", PRESETS["paper"], **changes)


@pytest.mark.parametrize(
    ("train", "tests"),
    [
        ("dataset-verse19training", ["dataset-verse19test", "dataset-verse19validation"]),
        ("dataset-01training", ["dataset-02validation", "dataset-03test"]),
        ("train", ["test_1", "test_2"]),
    ],
)
def test_test_sets_are_told_by_their_names(tmp_path, train, tests):
    made = plan(tmp_path, train, *tests)
    assert [folder.name for folder in made.training_folders()] == [train]
    assert [*made.test_sets()] == tests


def test_all_is_training_without_test_sets(tmp_path):
    assert plan(tmp_path, "rawdata", "derivatives").training_folders() == [tmp_path]
    given = plan(tmp_path, "mine", "yours", tests=(tmp_path / "yours",))
    assert [f.name for f in given.training_folders()] == ["derivatives", "mine", "rawdata"]
    with pytest.raises(NoInputError, match="test sets alone"):
        plan(tmp_path / "mine", "test").training_folders()


def test_steps_are_scaled_and_presets_checked(tmp_path):
    assert [plan(tmp_path).steps(stage) for stage in Stage] == [20_000, 100_000, 50_000]
    assert [plan(tmp_path, scale=0.01).steps(stage) for stage in Stage] == [200, 1000, 500]
    with pytest.raises(ConfigurationError, match="not trained as published"):
        Plan(tmp_path, tmp_path, PRESETS["default"])
    with pytest.raises(ConfigurationError, match="--scale"):
        plan(tmp_path, scale=0.0)


def test_the_paper_is_trained_on_prepared_scans_alone(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "spine", "--preset", "paper", "--runs", str(tmp_path)])
    assert stopped.value.code == 1
    assert "prepare --preset paper" in capsys.readouterr().err


def test_operations_are_those_of_the_convolutions():
    network = build_network(SMALL_PAPER, Stage.SPINE)
    x, y, z = SMALL_PAPER.spine.size
    fine = 27 * (1 * 8 + 8 * 8 + 16 * 8 + 8 * 8 + 8 * 1)
    coarse = 27 * 4 * 8 * 8
    assert forward_flops(network) == 2 * (x * y * z * fine + x * y * z / 8 * coarse)
    assert forward_flops(build_network(PRESETS["paper"], Stage.SPINE)) == pytest.approx(
        0.55e12, rel=0.01
    )


def test_the_cost_is_said_in_hours_and_memory(tmp_path):
    cost = Cost(dict.fromkeys(Stage, 1.6e12), 17e9, 6.2, 3000.0, 40.0)
    told = in_words(cost, plan(tmp_path), 80)
    assert "80 cases in 3 folds" in told and "vertebrae 100,000" in told
    assert "17 GFLOP/s" in told and "127 days" in told and "6.2 GiB" in told


def scores():
    rows = (
        VertebraScore("a", 7, True, True, True, 2.0, 0.9, 4.0),
        VertebraScore("a", 20, True, True, True, 4.0, 0.8, 6.0),
        VertebraScore("a", 21, True, False),
        VertebraScore("a", 22, False, True),
    )
    return [CaseScores(SpineScore("a", 3.0), rows), CaseScores(SpineScore("b", NAN), ())]


def test_table_1_is_that_of_the_paper(tmp_path):
    rows = {row[0]: row for row in table_1(scores())}
    assert rows["cervical"][1:] == [
        "2.00 +- 0.00",
        "100.00",
        "1 of 1",
        "0.90 +- 0.00",
        "4.00 +- 0.00",
    ]
    assert rows["lumbar"][1:4] == ["4.00 +- 0.00", "50.00", "1 of 2"]
    assert rows["all"][1:] == ["3.00 +- 1.00", "66.67", "2 of 3", "0.85 +- 0.05", "5.00 +- 1.00"]
    assert rows["spine in x, y"][1:4] == ["3.00 +- 0.00", "", "1 of 2"]
    assert "thoracic" not in rows and rows["all, as published"][2] == "89.79"
    text = write_table(tmp_path, "table1", [*rows.values()])
    assert (tmp_path / "table1.txt").read_text() == text + "\n"
    assert (tmp_path / "table1.csv").read_text().startswith("region,PE mm,ID %,identified,Dice")


def test_table_2_has_a_row_for_each_set():
    rows = table_2({"test": scores()[0].vertebrae, "none": []})
    assert rows[1] == ["test", "1", "66.67", "3.00", "0.850", "5.00"]
    assert rows[2] == ["none", "0", "nan", "-", "-", "-"]
    assert [row[2] for row in rows[3:]] == ["95.65", "94.25"]


def test_scores_are_kept_for_the_weights_that_gave_them(tmp_path):
    path = tmp_path / "a.json"
    assert saved_scores(path, "w") is None
    for case in scores():
        save_scores(path, case, "w")
        (again,) = saved_scores(path, "w")
        for one, other in zip(again.vertebrae, case.vertebrae, strict=True):
            np.testing.assert_equal(dataclasses.astuple(one), dataclasses.astuple(other))
        np.testing.assert_equal(again.spine.distance_mm, case.spine.distance_mm)
    assert saved_scores(path, "others") is None
    save_scores(path, None, "w")
    assert saved_scores(path, "w") == []
