"""Several runs on one output folder, and what a killed run leaves."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading

import pytest

from tests.support.paths import ROOT
from vertseg.errors import OutputError
from vertseg.system.atomic import atomic_writer, discard_partials
from vertseg.system.locks import Lock, locked


def test_a_lock_is_free_then_busy_then_free_and_leaves_nothing(tmp_path) -> None:
    path = tmp_path / "deep" / ".a.lock"
    first, second = Lock(path), Lock(path)
    assert (first.acquire(), second.acquire(wait=False)) == ("free", "busy")
    second.release()
    assert path.exists()
    first.release()
    assert not path.exists()
    assert second.acquire(wait=False) == "free"
    second.release()
    assert not path.exists()


def test_a_killed_process_leaves_a_lock_that_can_be_taken(tmp_path) -> None:
    path = tmp_path / ".a.lock"
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from vertseg.system.locks import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT)
    assert killed.returncode == -9
    lock = Lock(path)
    assert lock.acquire(wait=False) == "left"
    lock.release(keep_file=True)
    with locked(path) as state:
        assert state == "left"
    assert not path.exists()


def test_only_one_holds_a_lock_at_any_time(tmp_path) -> None:
    inside, most = [], []

    def work() -> None:
        for _ in range(25):
            with locked(tmp_path / ".a.lock"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 150 and max(most) == 1
    assert not list(tmp_path.iterdir())


def test_a_lock_can_be_had_where_only_a_writer_may_lock(tmp_path, monkeypatch) -> None:
    """As on NFSv4, which refuses to lock a file that is only open for reading."""

    def flock(descriptor: int, _operation: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path / ".a.lock") as state:
        assert state == "free"


def test_a_file_system_without_locks_is_told_once(tmp_path, monkeypatch, caplog) -> None:
    def flock(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    for name in ("a", "b"):
        with locked(tmp_path / name) as state:
            assert state == "free"
    assert len(caplog.messages) == 1 and "has no locks" in caplog.messages[0]


def test_a_lock_that_cannot_be_made_is_an_output_error(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "file" / ".a"):
        pass


def test_only_unfinished_files_of_that_output_are_removed(tmp_path) -> None:
    for name in ("a.json", "b.json"):
        with atomic_writer(tmp_path / name):
            (partial,) = tmp_path.glob(".*.part")
            left = partial.with_name(partial.name[:-9] + "killed.part")
        left.write_text("half")
        (tmp_path / name).rename(tmp_path / f"kept-{name}")
        if name == "a.json":
            of_a = left
            left.rename(tmp_path / "of_a")
    (tmp_path / "of_a").rename(of_a)
    discard_partials(tmp_path / "a.json")
    assert {p.name for p in tmp_path.iterdir()} == {"kept-a.json", "kept-b.json", left.name}
    discard_partials(tmp_path / "nowhere" / "a.json")
