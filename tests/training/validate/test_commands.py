"""The commands that score weights: what their options lead to."""

import argparse
from pathlib import Path

import pytest

from vertseg.training.validate import cases, run
from vertseg.training.validate_commands import add_validate_commands


def call(*words: str) -> None:
    parser = argparse.ArgumentParser()
    add_validate_commands(parser.add_subparsers())
    arguments = parser.parse_args(words)
    arguments.run(arguments)


def test_a_seed_makes_other_cases_of_the_same_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[cases.CaseSet] = []
    monkeypatch.setattr(cases, "write_cases", lambda data, to, count, which: made.append(which))
    call("cases", "--data", "d", "--to", "t", "--thick")
    call("cases", "--data", "d", "--to", "t", "--thick", "--seed", "80001")
    assert made[0] == cases.THICK
    assert made[1].seed == 80001 and made[1].marks is cases.THICK.marks


def test_names_are_scored_by_one_set_of_weights_or_by_folds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[tuple] = []
    monkeypatch.setattr(run, "validate_names", lambda *values: given.append(values) or "")
    call("names", "--scans", "s", "--work", "w", "--folds", "f")
    assert given == [(Path("s"), Path("w"), None, "auto", Path("f"))]
    with pytest.raises(SystemExit):
        call("names", "--scans", "s", "--work", "w", "--folds", "f", "--weights", "v")
