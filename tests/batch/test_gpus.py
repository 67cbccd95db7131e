"""Several GPUs: who is given which, what becomes of the shares, and of signals."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from vertseg.batch.gpus import parse_gpu_list, run_on_gpus, shards_of_gpus, visible_gpus
from vertseg.batch.options import Options
from vertseg.batch.shards import Shard
from vertseg.cli import main
from vertseg.errors import ConfigurationError

LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa)
  MIG 3g.20gb     Device  0: (UUID: MIG-bb)
  MIG 3g.20gb     Device  1: (UUID: MIG-cc)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-dd)
"""


def noting(options: Options) -> FakeSegmenter:
    """A segmenter of a process that notes which GPU it was given."""
    visible = os.environ["CUDA_VISIBLE_DEVICES"]
    note = Path(options.output, f".gpu-{visible}")
    note.write_text(f"{os.getpid()} {options.shard} {options.threads} {options.device}")
    return FakeSegmenter(POINTS)


class Waiting(FakeSegmenter):
    """Takes a minute, and says all the time how far it is."""

    def __call__(self, image, on_progress=None, found=None):
        for _ in range(1200):
            time.sleep(0.05)
            on_progress("vertebrae", 0, 1)


def waiting(options: Options) -> FakeSegmenter:
    noting(options)
    return Waiting(POINTS)


def killed(options: Options) -> FakeSegmenter:
    if os.environ["CUDA_VISIBLE_DEVICES"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return FakeSegmenter(POINTS)


def refused(options: Options) -> FakeSegmenter:
    raise ConfigurationError("no GPU is usable", "--device gpu")


@pytest.fixture
def options(tmp_path, monkeypatch) -> Options:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    for name in "abc":
        write_scan(tmp_path / "in" / f"{name}.nii.gz", size=(10, 12, 36))
    return Options(input=tmp_path / "in", output=tmp_path / "out", gpus=0, threads=3)


def notes(options: Options) -> dict[str, list[str]]:
    return {path.name[-1]: path.read_text().split() for path in options.output.glob(".gpu-*")}


def test_gpus_that_may_be_used(monkeypatch) -> None:
    assert parse_gpu_list(LISTED) == ("MIG-bb", "MIG-cc", "GPU-dd")
    assert parse_gpu_list("No devices were found\n") == ()
    for value, expected in {"0, 2": ("0", "2"), "": (), "-1": (), "GPU-dd": ("GPU-dd",)}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert visible_gpus() == expected


def test_shares_within_shares_hold_every_scan_once() -> None:
    parts = [s for outer in (1, 2, 3) for s in shards_of_gpus(Shard(outer, 3), 2)]
    assert sorted(n for part in parts for n in part.of(range(20))) == list(range(20))
    assert shards_of_gpus(None, 2) == [Shard(1, 2), Shard(2, 2)]


def test_each_gpu_has_a_process_and_the_outputs_are_those_of_one_run(options) -> None:
    outcome = run_on_gpus(options, noting)
    assert outcome.exit_code == 0 and len(outcome.reports) == 3
    found = notes(options)
    assert {gpu: note[1:] for gpu, note in found.items()} == {
        "0": ["1/2", "3", "gpu"],
        "1": ["2/2", "3", "gpu"],
    }
    assert len({note[0] for note in found.values()} | {str(os.getpid())}) == 3
    names = {path.name for path in options.output.iterdir() if path.suffix in (".csv", ".html")}
    assert names == {"summary.csv", "index.html"}


def test_a_shard_on_several_gpus_leaves_the_overview_to_merge(options) -> None:
    outcome = run_on_gpus(replace(options, shard=Shard(2, 2)), noting)
    assert outcome.exit_code == 0 and outcome.reports == []
    assert [note[1] for note in notes(options).values()] == ["3/4"]  # no scan is left for 4/4
    assert not (options.output / "index.html").exists()


def test_a_process_that_dies_is_no_success(options) -> None:
    outcome = run_on_gpus(options, killed)
    assert outcome.exit_code == 128 + signal.SIGKILL
    assert [report["status"] for report in outcome.reports] == ["ok", "failed", "ok"]
    with pytest.raises(ConfigurationError, match="did not start"):
        run_on_gpus(options, refused)


def test_a_signal_reaches_every_process(options) -> None:
    def stop() -> None:
        while len(notes(options)) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    outcome = run_on_gpus(options, waiting)
    assert outcome.exit_code == 143 and not list(options.output.glob("*_seg.nii.gz"))
    for pid, *_ in notes(options).values():
        assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(("visible", "asked"), [("0", "2"), ("", "all")])
def test_more_gpus_than_there_are(tmp_path, monkeypatch, capsys, visible, asked) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    arguments = ["--input", str(tmp_path), "--output", str(tmp_path), "--gpus", asked]
    assert main(arguments) == 1
    assert "can be seen" in capsys.readouterr().err
    assert main([*arguments, "--device", "cpu"]) == 1
