"""The command line: options, exit codes, what is said where."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from tests.support.paths import ROOT
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.shards import Shard
from vertseg.cli import main
from vertseg.cli.parser import parse
from vertseg.errors import ConfigurationError


def run(tmp_path: Path, *arguments: str, segmenter=None) -> int:
    paths = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    return main([*paths, *arguments], lambda _: segmenter or FakeSegmenter(POINTS))


HELP = """
import sys
before = set(sys.modules) | sys.stdlib_module_names
from vertseg.cli import main
try:
    main(["--help"])
finally:
    print(*{name.partition(".")[0] for name in sys.modules} - before, file=sys.stderr)
"""


def test_help_loads_nothing_slow_and_names_every_option() -> None:
    """It answers at once where no array, image or network library is imported for it."""
    command = [sys.executable, "-c", HELP]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(answer.stderr.split()) <= {"__mp_main__", "vertseg", "tqdm"}
    for option in (
        *("--input", "--output", "--weights", "--device", "--precision", "--tile-overlap"),
        *("--centroid-format", "--resume", "--no-resume", "--only", "--threads", "--verbose"),
        *("--numbering", "--force", "--centroids", "--stages", "--shard", "--merge"),
        *(
            "--heatmaps",
            "--dicom-seg",
            "--gpus",
            "--selftest",
            "exit codes",
            "Not a medical device",
        ),
    ):
        assert option in answer.stdout


SMALL_PAGES = """
import sys
from vertseg.cli import main
main(["--input", sys.argv[1], "--output", sys.argv[1]])
import numpy
print(numpy._core.multiarray._get_madvise_hugepage())
"""


def test_the_program_has_numpy_take_small_pages(tmp_path: Path) -> None:
    """Numpy reads its variable once: it must be set before anything imports it."""
    clean = {key: value for key, value in os.environ.items() if "HUGEPAGE" not in key}
    command = [sys.executable, "-c", SMALL_PAGES, str(tmp_path)]
    for wanted, environment in ((False, clean), (True, clean | {"NUMPY_MADVISE_HUGEPAGE": "1"})):
        answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
        assert answer.stdout.split()[-1:] == [str(wanted)]


ARENAS = """
import ctypes, sys, threading
from vertseg.cli import main
main(["--input", sys.argv[1], "--output", sys.argv[1]])
all_at_once = threading.Barrier(9)
def work():
    bytearray(5000)
    all_at_once.wait()
for _ in range(8):
    threading.Thread(target=work).start()
all_at_once.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="its own allocator")
def test_threads_share_two_places_of_freed_memory(tmp_path: Path) -> None:
    clean = {key: value for key, value in os.environ.items() if "ARENA" not in key}
    command = [sys.executable, "-c", ARENAS, str(tmp_path)]
    for most, environment in ((2, clean), (3, clean | {"MALLOC_ARENA_MAX": "3"})):
        answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
        assert answer.stdout.count("<heap nr=") == most


def test_the_package_is_imported_without_keras() -> None:
    code = (
        "import sys, vertseg, vertseg.cli, vertseg.batch.run\n"
        "assert not {'keras', 'tensorflow', 'jax', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_options() -> None:
    plain = parse(["--input", "a", "--output", "b"])
    assert plain == Options(Path("a"), Path("b"))
    full = parse(
        [
            *("--input", "a", "--output", "b", "--weights", "w", "--device", "gpu"),
            *("--precision", "bfloat16", "--tile-overlap", "64", "--threads", "2"),
            *("--numbering", "usual"),
            *("--centroid-format", "verse19", "--no-resume", "--only", "x*", "--force"),
            *("--verbose", "--centroids", "c", "--stages", "spine,vertebrae", "--shard", "2/8"),
            *("--merge", "--heatmaps", "--dicom-seg", "--gpus", "all"),
        ]
    )
    assert full == Options(
        input=Path("a"),
        output=Path("b"),
        weights=Path("w"),
        device="gpu",
        precision="bfloat16",
        tile_overlap=64,
        numbering="usual",
        threads=2,
        centroid_format="verse19",
        resume=False,
        only="x*",
        force=True,
        verbose=True,
        centroids=Path("c"),
        stages=("spine", "vertebrae"),
        heatmaps=True,
        dicom_seg=True,
        gpus=0,
        shard=Shard(2, 8),
        merge=True,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--input", "a"],
        ["--input", "a", "--output", "b", "--device", "tpu"],
        ["--input", "a", "--output", "b", "--threads", "0"],
        ["--input", "a", "--output", "b", "--tile-overlap", "-1"],
        ["--input", "a", "--output", "b", "--unknown"],
        ["--input", "a", "--output", "b", "--verb"],
    ],
)
def test_bad_options_end_with_code_1(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    assert "See --help" in capsys.readouterr().err


def test_a_good_run_says_device_precision_results_and_notice(tmp_path, capsys) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    assert run(tmp_path) == 0
    said = capsys.readouterr()
    assert "on the CPU (fake processor, float32, OpenVINO), weights fake" in said.err
    assert "[1/1] a.nii.gz: 3 vertebrae, L1–L3?" in said.err
    row = next(line for line in said.out.splitlines() if line.startswith("a.nii.gz"))
    assert row.split()[1:4] == ["ok", "3", "L1–L3?"]
    assert "Not a medical device" in said.out


def test_failures_are_listed_with_reason_and_remedy_and_traceback_if_asked(
    tmp_path, capsys
) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "in" / "b.nii.gz").write_bytes(b"hello there")
    assert run(tmp_path) == 2
    said = capsys.readouterr()
    assert "1 of 2 scans failed" in said.out
    assert "b.nii.gz: is a text file (expected a NIfTI volume). Remove it" in said.out
    assert "Traceback" not in said.err
    assert run(tmp_path, "--verbose") == 2
    assert "Traceback" in capsys.readouterr().err


def test_no_input_ends_with_code_3(tmp_path, capsys) -> None:
    assert run(tmp_path) == 3
    assert "does not exist" in capsys.readouterr().err


def test_unusable_weights_end_with_code_1_before_anything_is_written(tmp_path, capsys) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")

    def refuse(_: Options):
        raise ConfigurationError("weights are missing", remedy="Get them.")

    paths = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main(paths, refuse) == 1
    assert "weights are missing. Get them." in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_single_file_is_taken(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    write_scan(tmp_path / "in" / "b.nii.gz")
    paths = ["--input", str(tmp_path / "in" / "b.nii.gz"), "--output", str(tmp_path / "out")]
    assert main(paths, lambda _: FakeSegmenter(POINTS)) == 0
    assert (tmp_path / "out" / "b_seg.nii.gz").is_file()
    assert not (tmp_path / "out" / "a_seg.nii.gz").exists()


STOPPED = """
import os, sys
from vertseg.batch import run
from vertseg.cli import main

run.find_cases = lambda *_: os.kill(os.getpid(), int(sys.argv[1]))
sys.exit(main(["--input", sys.argv[2], "--output", sys.argv[2] + "/out"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_during_the_search_stops_the_run(tmp_path, number, code) -> None:
    """Process 1 of a container gets no signal that it has no handler for."""
    command = [sys.executable, "-c", STOPPED, str(int(number)), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == code
    assert "Stopped by" in done.stderr and "Traceback" not in done.stderr


def test_a_bids_app_is_called_as_one() -> None:
    options = parse(["in", "out", "participant", "--participant-label", "01", "sub-02", "--parts"])
    assert (options.input, options.output) == (Path("in"), Path("out")) and options.parts
    assert options.only == ("*sub-01[/_]*", "*sub-02[/_]*")
    one = parse(["in", "out", "participant", "--participant_label", "01"])
    assert one.only == "*sub-01[/_]*"
    assert parse(["in", "out", "participant"]).only is None
    with pytest.raises(SystemExit):
        parse(["in", "out", "group"])


def test_several_patterns_take_the_scans_of_each(tmp_path) -> None:
    for name in ("01", "02", "011"):
        write_scan(tmp_path / "in" / f"sub-{name}" / f"sub-{name}_ct.nii.gz")
    options = parse([str(tmp_path / "in"), "out", "participant", "--participant-label", "01", "02"])
    found = find_cases(options.input, options.only).cases
    assert [case.stem for case in found] == ["sub-01", "sub-02"]
