"""When memory runs out: fewer crops at once, then the CPU, then a clear failure."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from tests.support.fake_segmenter import FakeSegmenter, fake_result, phantom_scan, write_scan
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import InputError
from vertseg.io.read import read_image
from vertseg.stages.network import StageNetwork, Turns
from vertseg.stages.result import Vertebra
from vertseg.system import memory
from vertseg.system.memory import free_bytes, is_out_of_memory
from vertseg.system.threads import mapped_ahead


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


class Doubling:
    """In place of a compiled network: twice the batch, if no more than `most` crops are asked."""

    def __init__(self, most: int, error: Exception | None = None) -> None:
        self.most, self.error, self.sizes = most, error or ResourceExhaustedError("OOM"), []
        self.on_the_cpu: list[int] = []

    def on_cpu(self, batch):
        self.on_the_cpu.append(len(batch))
        return 2 * batch

    def __call__(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise self.error
        return 2 * batch


def network(forward, has_gpu: bool = True) -> StageNetwork:
    made = object.__new__(StageNetwork)
    made._forward, made._stage, made._has_gpu = forward, "segmentation", has_gpu
    made._turns = Turns(1 if has_gpu else 2)
    return made.afresh()


BATCH = np.arange(5 * 8, dtype=np.float32).reshape(5, 2, 2, 2, 1)


def test_fewer_crops_at_once_give_the_same_maps(caplog) -> None:
    forward = Doubling(most=1)
    made = network(forward)
    np.testing.assert_array_equal(made(BATCH), 2 * BATCH)
    assert forward.sizes == [5, 2, 1, 1, 1, 1, 1]
    assert "segmentation stage: memory was enough for 1 crops at once" in made.shortage
    np.testing.assert_array_equal(made(BATCH[:2]), 2 * BATCH[:2])
    assert forward.sizes[-2:] == [1, 1]  # it stays with what worked
    again = made.afresh()
    assert not again.shortage and made.shortage  # which is of the scan before
    again(BATCH[:2])
    assert forward.sizes[-3:] == [2, 1, 1]


def test_one_crop_that_is_too_much_for_the_gpu_runs_on_the_cpu() -> None:
    forward = Doubling(most=0)
    made = network(forward)
    np.testing.assert_array_equal(made(BATCH[:2]), 2 * BATCH[:2])
    assert forward.on_the_cpu == [1, 1]
    assert "CPU" in made.shortage


def test_two_calls_that_are_too_much_run_one_after_the_other() -> None:
    both, running = threading.Barrier(2, timeout=60.0), []

    def forward(batch):
        running.append(batch)
        try:
            if made._turns.most > 1:
                both.wait()  # the other call is under way as well
                raise ResourceExhaustedError("OOM")
            assert len(running) == 1
            return 2 * batch
        finally:
            running.pop()

    made = network(forward, has_gpu=False)
    parts = [BATCH[:1], BATCH[1:2]]
    for part, maps in zip(parts, mapped_ahead(made, parts, 2), strict=True):
        np.testing.assert_array_equal(maps, 2 * part)
    assert made.shortage == "segmentation stage: memory was enough for one crop at a time only"


def test_networks_with_common_turns_make_no_more_calls_at_once_than_one() -> None:
    both, running, most = threading.Barrier(2, timeout=60.0), [], []

    def forward(batch):
        running.append(batch)
        most.append(len(running))
        both.wait()
        running.pop()
        return 2 * batch

    first = network(forward, has_gpu=False)
    second = network(forward, has_gpu=False)
    second._turns = first._turns
    calls = 4 * [first, second]
    for maps in mapped_ahead(lambda call: call(BATCH[:1]), calls, len(calls)):
        np.testing.assert_array_equal(maps, 2 * BATCH[:1])
    assert max(most) == 2


@pytest.mark.parametrize("error", [MemoryError(), ResourceExhaustedError("OOM")])
def test_nothing_left_to_try(error) -> None:
    forward = Doubling(0, error)
    with pytest.raises(type(error)):
        network(forward, has_gpu=False)(BATCH)
    assert forward.sizes == [5, 2, 1, 1]  # the last time without another call beside it


def test_other_errors_are_not_tried_again() -> None:
    forward = Doubling(0, ValueError("bad shape"))
    with pytest.raises(ValueError, match="bad shape"):
        network(forward)(BATCH)
    assert forward.sizes == [5]


def test_words_of_the_libraries() -> None:
    jax = type("XlaRuntimeError", (RuntimeError,), {"__module__": "jaxlib._jax"})
    tensorflow = type("InternalError", (Exception,), {"__module__": "tensorflow.python.framework"})
    assert is_out_of_memory(jax("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"))
    assert is_out_of_memory(tensorflow("Dst tensor is not initialized."))
    assert is_out_of_memory(np._core._exceptions._ArrayMemoryError((1,), np.dtype("f4")))
    assert is_out_of_memory(RuntimeError("can't start new thread"))
    assert not is_out_of_memory(tensorflow("cuDNN launch failure"))
    assert not is_out_of_memory(RuntimeError("the notes ran out of memory"))


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Writes what the system says about memory; the process is in the group /job/step."""
    monkeypatch.setattr(memory, "PROC", tmp_path)
    (tmp_path / "self").mkdir()

    def write(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def mounted(tmp_path, kind: str, root: str = "/") -> str:
    options = "rw,memory" if kind == "cgroup" else "rw"
    return f"31 23 0:28 {root} {tmp_path}/{kind} rw,relatime - {kind} {kind} {options}\n"


def group(tmp_path, kind: str, path: str, limit: str, used: int, droppable: int = 0) -> None:
    names = memory.GROUP_FILES[kind]
    folder = tmp_path / kind / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(names, (limit, str(used)), strict=False):
        (folder / name).write_text(f"{text}\n")
    (folder / "memory.stat").write_text(f"anon 3\n{names[2]} {droppable}\nactive_file 50\n")


def test_free_memory_is_the_least_of_machine_and_container(system, tmp_path) -> None:
    """In a container the process sees its own group as the root."""
    assert free_bytes() is None
    system(meminfo="MemTotal: 900 kB\nMemAvailable:     500 kB\n")
    assert free_bytes() == 500 << 10
    (tmp_path / "self" / "cgroup").write_text("0::/\n")
    (tmp_path / "self" / "mountinfo").write_text(mounted(tmp_path, "cgroup2"))
    group(tmp_path, "cgroup2", "", "max", 1000)
    assert free_bytes() == 500 << 10
    group(tmp_path, "cgroup2", "", "9000", 1000, droppable=200)
    assert free_bytes() == 9000 - 1000 + 200
    group(tmp_path, "cgroup2", "", "4000", 5000)
    assert free_bytes() == 0


@pytest.mark.parametrize(
    ("kind", "told"), [("cgroup2", "0::/job/step"), ("cgroup", "4:cpu,memory:/job/step")]
)
def test_the_groups_of_the_process_itself_limit_it(system, tmp_path, kind, told) -> None:
    """As in a Slurm job, which sees the whole tree of groups."""
    system(meminfo="MemAvailable: 500 kB\n")
    (tmp_path / "self" / "cgroup").write_text(f"1:name=systemd:/\n{told}\n")
    (tmp_path / "self" / "mountinfo").write_text(f"\n{mounted(tmp_path, kind)}")
    group(tmp_path, kind, "", "100000", 90)
    group(tmp_path, kind, "job/step", "50000", 1000)
    assert free_bytes() == 49000
    group(tmp_path, kind, "job", "8000", 1000, droppable=500)  # limits what is within it
    assert free_bytes() == 7500


@pytest.mark.parametrize("root", ["/job", "/elsewhere"])
def test_a_part_of_the_tree_may_be_mounted(system, tmp_path, root) -> None:
    (tmp_path / "self" / "cgroup").write_text("0::/job/step\n")
    (tmp_path / "self" / "mountinfo").write_text(mounted(tmp_path, "cgroup2", root))
    group(tmp_path, "cgroup2", "", "8000", 1000)
    group(tmp_path, "cgroup2", "step", "4000", 1000)
    assert free_bytes() == (3000 if root == "/job" else 7000)


def test_a_scan_that_does_not_fit_into_memory_is_refused(system, tmp_path) -> None:
    write_scan(tmp_path / "a.nii.gz")
    system(meminfo="MemAvailable: 1000 kB\n")
    read_image(tmp_path / "a.nii.gz")
    system(meminfo="MemAvailable: 50 kB\n")
    with pytest.raises(InputError, match=r"a\.nii\.gz: needs more than .* GiB of memory"):
        read_image(tmp_path / "a.nii.gz")


class OneCube(FakeSegmenter):
    """Finds a cube of L1 in the middle, however large the scan."""

    def __call__(self, image, on_progress=None, found=None):
        result = fake_result(image, {})
        middle = np.asarray(image.grid.size) // 2
        i, j, k = (slice(at - 15, at + 15) for at in middle)
        result.labels[i, j, k] = 20
        centre = tuple(float(mm) for mm in image.grid.index_to_lps(middle))
        found = (Vertebra(20, centre, 0.9, voxels=30**3),)
        return replace(result, vertebrae=found, status="ok", warnings=())


def test_a_large_scan_takes_little_more_than_its_voxels_and_labels(tmp_path) -> None:
    """Reading, measuring, writing, drawing: three bytes a voxel and what does not grow with it."""
    hu = np.tile(phantom_scan((64, 64, 64)), (3, 3, 4))
    write_scan(tmp_path / "in" / "a.nii", spacing_mm=1.0, hu=hu)
    tracemalloc.start()
    outcome = run_batch(Options(tmp_path / "in", tmp_path / "out"), lambda _: OneCube())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome.exit_code == 0
    assert peak < 3 * hu.size + (32 << 20)
