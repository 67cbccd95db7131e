"""Shares of a run: who takes what, and one summary in the end."""

from __future__ import annotations

import csv
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from tests.support.forked_runs import ended, forked
from tests.support.paths import ROOT
from vertseg.batch.options import Options
from vertseg.batch.outcome import merge_shards
from vertseg.batch.run import run_batch
from vertseg.batch.shards import Shard, parse_shard, shard_of_slurm
from vertseg.cli import main
from vertseg.errors import ConfigurationError
from vertseg.system.locks import Lock

SLURM = ("ID", "COUNT", "MIN", "MAX")


def array(*values: int) -> dict[str, str]:
    """Environment of a task: its number, how many there are, the first and the last."""
    pairs = zip(SLURM, values, strict=True)
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in pairs}


@pytest.fixture(autouse=True)
def outside(monkeypatch) -> None:
    for name in (*(f"SLURM_ARRAY_TASK_{name}" for name in SLURM), "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
def test_shares_are_disjoint_and_complete(count) -> None:
    items = list(range(10))
    shares = [Shard(number, count).of(items) for number in range(1, count + 1)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("2/8", {}, Shard(2, 8)),
        ("2/8", array(0, 4, 0, 3), Shard(2, 8)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "0"}, Shard(1, 8)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "7"}, Shard(8, 8)),
        ("auto/4", array(5, 4, 5, 8), Shard(1, 4)),
        ("auto", array(8, 4, 5, 8), Shard(4, 4)),
    ],
)
def test_what_is_asked_for(text, environment, expected) -> None:
    assert parse_shard(text, environment) == expected


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        *((text, {}) for text in ("", "3", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/2/3", "auto")),
        ("auto/8", {}),
        ("auto/8", {"JOB_COMPLETION_INDEX": "8"}),
        ("auto/8", {"JOB_COMPLETION_INDEX": "x"}),
        ("auto/8", array(0, 4, 0, 3)),
    ],
)
def test_what_cannot_be_meant(text, environment) -> None:
    with pytest.raises(ConfigurationError):
        parse_shard(text, environment)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0, 4, 0, 3), Shard(1, 4)),
        ((1, 4, 1, 4), Shard(1, 4)),
        ((17, 8, 10, 17), Shard(8, 8)),
        ((8, 4, 0, 12), Shard(3, 4)),
        ((5, 1, 5, 5), Shard(1, 1)),
    ],
)
def test_place_in_a_slurm_array_whatever_its_numbers(values, expected) -> None:
    assert shard_of_slurm(array(*values)) == expected


def test_slurm_arrays_with_holes_and_no_array() -> None:
    with pytest.raises(ConfigurationError, match="uneven"):
        shard_of_slurm(array(3, 3, 1, 9))
    with pytest.raises(ConfigurationError, match="uneven"):
        shard_of_slurm(array(1, 3, 1, 4))
    assert shard_of_slurm({"SLURM_ARRAY_TASK_ID": "3"}) is None


# ---------------------------------------------------------------- runs


def run(tmp_path: Path, *arguments: str, segmenter=None) -> int:
    paths = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    return main([*paths, *arguments], lambda _: segmenter or FakeSegmenter(POINTS))


def scans(tmp_path: Path, names: str = "abcde") -> None:
    for name in names:
        write_scan(tmp_path / "in" / f"{name}.nii.gz", size=(10, 12, 36))


def cases(path: Path) -> list[str]:
    return list(
        dict.fromkeys(
            row["case"][0] for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        )
    )


def overviews(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "out").iterdir() if path.suffix in (".csv", ".html")}


def test_shards_write_their_own_summaries_and_merge_makes_one(tmp_path, capsys) -> None:
    scans(tmp_path)
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"hello")
    out = tmp_path / "out"
    assert run(tmp_path, "--shard", "1/3") == 0
    assert "summary.shard-1-of-3.csv" in capsys.readouterr().out
    assert run(tmp_path, "--merge") == 2
    said = capsys.readouterr().out
    assert "b.nii.gz: has not been processed (expected a report). Run its shard again" in said
    assert run(tmp_path, "--shard", "2/3") == 0
    assert overviews(tmp_path) == {
        *("summary.csv", "index.html", "summary.shard-1-of-3.csv", "summary.shard-2-of-3.csv"),
    }
    assert cases(out / "summary.shard-1-of-3.csv") == ["a", "c"]
    assert cases(out / "summary.shard-2-of-3.csv") == ["b", "d"]
    assert run(tmp_path, "--shard", "3/3") == 2  # the bad one
    assert run(tmp_path, "--merge") == 2
    assert "text file" in capsys.readouterr().out
    (tmp_path / "in" / "bad.nii.gz").unlink()
    (out / "bad_report.json").unlink()
    assert run(tmp_path, "--merge") == 0
    assert overviews(tmp_path) == {"summary.csv", "index.html"}
    assert cases(out / "summary.csv") == list("abcde")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert all(f'data-case="{name}.nii.gz"' in page for name in "abcde")


def test_tasks_of_a_slurm_array_share_what_they_have_in_common(
    tmp_path, monkeypatch, capsys
) -> None:
    """Each begins with its own part and then does what nobody has done; no scan is done twice."""
    scans(tmp_path, "abcd")
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"hello")
    for name, value in array(6, 2, 5, 6).items():
        monkeypatch.setenv(name, value)
    segmenter = FakeSegmenter(POINTS)
    assert run(tmp_path, segmenter=segmenter) == 2
    said = capsys.readouterr().err
    assert "Task 2/2 of a Slurm array: 2 of 5 scans first" in said
    assert "[1/5] b.nii.gz" in said and "[2/5] c.nii.gz" in said and "[3/5] a.nii.gz" in said
    assert segmenter.calls == 4
    assert cases(tmp_path / "out" / "summary.csv") == list("abcd")
    for name, value in array(5, 2, 5, 6).items():
        monkeypatch.setenv(name, value)
    segmenter = FakeSegmenter(POINTS)
    assert run(tmp_path, segmenter=segmenter) == 2 and segmenter.calls == 0
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize("task", range(4))
def test_tasks_of_a_slurm_array_with_a_folder_each_do_all_that_is_in_it(
    tmp_path, monkeypatch, task
) -> None:
    scans(tmp_path, "ab" if task else "a")
    for name, value in array(task, 4, 0, 3).items():
        monkeypatch.setenv(name, value)
    assert run(tmp_path) == 0
    assert cases(tmp_path / "out" / "summary.csv") == (["a", "b"] if task else ["a"])


def test_a_scan_that_another_task_is_at_is_left_to_it(tmp_path, monkeypatch, capsys) -> None:
    scans(tmp_path, "ab")
    for name, value in array(0, 2, 0, 1).items():
        monkeypatch.setenv(name, value)
    lock = Lock(tmp_path / "out" / ".b.lock")
    lock.acquire()
    segmenter = FakeSegmenter(POINTS)
    assert run(tmp_path, segmenter=segmenter) == 0 and segmenter.calls == 1
    lock.release()
    assert "b.nii.gz: left to the task that is processing it" in capsys.readouterr().err


def test_a_scan_at_which_another_task_has_just_failed_is_not_tried_again(
    tmp_path, monkeypatch
) -> None:
    scans(tmp_path, "abc")
    for name, value in array(0, 2, 0, 1).items():
        monkeypatch.setenv(name, value)

    def other_task(_) -> None:
        if not (tmp_path / "out" / "b_report.json").exists():
            fails = FakeSegmenter(before=lambda _: 1 / 0)
            arguments = ("--only", "b*", "--shard", "1/1")
            assert ended(forked(lambda: run(tmp_path, *arguments, segmenter=fails))) == (2, 0)

    segmenter = FakeSegmenter(POINTS, before=other_task)
    assert run(tmp_path, segmenter=segmenter) == 2 and segmenter.calls == 2


def test_a_single_scan_is_never_shared_out_by_itself(tmp_path, monkeypatch) -> None:
    scans(tmp_path, "a")
    for name, value in array(1, 2, 0, 1).items():
        monkeypatch.setenv(name, value)
    paths = ["--input", str(tmp_path / "in" / "a.nii.gz"), "--output", str(tmp_path / "out")]
    assert main(paths, lambda _: FakeSegmenter(POINTS)) == 0
    assert (tmp_path / "out" / "a_seg.nii.gz").is_file()


def test_more_shards_than_scans_are_no_failure_and_load_nothing(tmp_path, monkeypatch) -> None:
    scans(tmp_path, "a")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "3")
    paths = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]

    def load(_):
        raise AssertionError

    assert main([*paths, "--shard", "auto/4"], load) == 0
    assert cases(tmp_path / "out" / "summary.shard-4-of-4.csv") == []


def test_the_scripts_in_the_readme_fit_together() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = re.search(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", readme, re.DOTALL)[1]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "--array=" in script
    manifest = re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)[1]
    assert "completionMode: Indexed" in manifest
    completions = re.search(r"completions: (\d+)", manifest)[1]
    shard = re.search(r'args: \["--shard", "(.*?)"\]', manifest)[1]
    assert parse_shard(shard, {"JOB_COMPLETION_INDEX": "0"}) == Shard(1, int(completions))


def test_options_that_cannot_be_meant_end_with_code_1(tmp_path, capsys) -> None:
    scans(tmp_path, "a")
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, "--shard", "9/3")
    assert ended.value.code == 1 and "no shard 9/3" in capsys.readouterr().err
    assert run(tmp_path, "--centroids", str(tmp_path), "--stages", "spine") == 1
    assert "leaves that out" in capsys.readouterr().err


def test_a_review_given_to_merge_is_shown_and_the_wrong_ones_are_listed(tmp_path, capsys) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    options = Options(input=tmp_path / "in", output=tmp_path / "out")
    run_batch(options, lambda _: FakeSegmenter(POINTS))
    (tmp_path / "review.csv").write_text("case,mark,word,time\na.nii.gz,wrong,T13?,\n")
    merge_shards(replace(options, merge=True, review=tmp_path / "review.csv"))
    said = capsys.readouterr().out
    assert "0 right, 1 wrong" in said and "vertseg relabel" in said and "T13?" in said
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert '{"a.nii.gz":{"mark":"wrong","word":"T13?","time":""}}' in page
