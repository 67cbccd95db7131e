"""Kills at random moments, two runs on one output folder, memory over many scans.

VERTSEG_KILLS and VERTSEG_VOLUMES set how many are tried.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

KILLS = int(os.environ.get("VERTSEG_KILLS", "5"))
VOLUMES = int(os.environ.get("VERTSEG_VOLUMES", "20"))


def forked_runs(job: str, folder: Path, count: int) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.forked_runs", job, str(folder), str(count), "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_file_is_whole_after_kills_and_the_rest_is_done_once(tmp_path) -> None:
    found = forked_runs("kills", tmp_path, KILLS)
    print(found)
    assert found["kills"] >= KILLS and found["looked_at"] > 0
    assert found["redone"] == 0
    assert found["left"] == []


def test_two_runs_on_one_output_folder(tmp_path) -> None:
    found = forked_runs("together", tmp_path, 4)
    assert sum(found["calls"]) == 4  # each scan once, by one or the other
    assert found["files"] == 4 * 4 + 2
    assert max(found["ends"]) < 90
    assert found["mixed"] == []
    assert found["left"] == []


def test_memory_stays_flat_over_many_scans(tmp_path) -> None:
    found = forked_runs("memory", tmp_path, VOLUMES)
    assert found["exit_code"] == 0 and len(found["held"]) == VOLUMES
    growth = (found["held"][-1] - found["held"][5]) / (VOLUMES - 6)
    print(f"{growth / 1024:.1f} KiB a scan; a volume has {found['volume'] / 1024:.0f} KiB")
    assert growth < 0.3 * found["volume"]  # a report stays, no volume does
