"""What runs in threads: order, errors and early ends are kept, and things really overlap."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from vertseg.batch import case_job, overlap, scan, staging
from vertseg.batch.options import Options
from vertseg.batch.overlap import ReadAhead, WriteBehind
from vertseg.batch.run import run_batch
from vertseg.io.case import Case
from vertseg.report.run_info import RunInfo
from vertseg.system.memory import MemoryShortage
from vertseg.system.threads import ahead, mapped_ahead

PATIENCE_S = 60.0


def test_items_come_in_order_and_before_they_are_asked_for() -> None:
    third = threading.Event()

    def items():
        yield from (1, 2)
        third.set()
        yield 3

    made = ahead(items(), 2)
    assert next(made) == 1
    assert third.wait(PATIENCE_S)
    assert list(made) == [2, 3]


def test_an_error_comes_where_its_item_would_have_come() -> None:
    def items():
        yield 1
        raise ZeroDivisionError("oops")

    made = ahead(items())
    assert next(made) == 1
    with pytest.raises(ZeroDivisionError, match="oops"):
        next(made)


def test_the_thread_ends_when_the_caller_stops_early() -> None:
    before = threading.active_count()
    made = ahead(iter(range(1000)), 1)
    assert next(made) == 0
    made.close()
    assert threading.active_count() == before


def test_two_values_are_made_at_once_and_come_in_order() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)

    def value(number: int) -> int:
        both.wait()
        return 2 * number

    assert list(mapped_ahead(value, range(6), 2)) == [0, 2, 4, 6, 8, 10]


def test_what_a_function_raises_ends_the_others() -> None:
    before, done = threading.active_count(), []

    def value(number: int) -> int:
        if number == 1:
            raise ZeroDivisionError("oops")
        done.append(number)
        return number

    made = mapped_ahead(value, range(1000), 2)
    assert next(made) == 0
    with pytest.raises(ZeroDivisionError, match="oops"):
        next(made)
    assert threading.active_count() == before
    assert len(done) < 8


def test_the_next_scan_is_read_and_the_last_one_written_meanwhile(tmp_path, monkeypatch) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    for name in "ab":
        write_scan(source / f"{name}.nii.gz")
    second_read, first_written, seen = threading.Event(), threading.Event(), []
    read_image, write_report = scan.read_image, staging.write_report

    def read(path):
        image = read_image(path)
        if path.name == "b.nii.gz":
            second_read.set()
        return image

    def write(path, report) -> None:
        if report["case"] == "a.nii.gz":  # only once the networks are at the other scan
            seen.append(second_begun.wait(PATIENCE_S))
        write_report(path, report)
        first_written.set()

    second_begun, calls = threading.Event(), []

    def networks(image) -> None:
        calls.append(image)
        if len(calls) == 1:
            seen.append(second_read.wait(PATIENCE_S))
        else:
            second_begun.set()
            seen.append(first_written.wait(PATIENCE_S))

    monkeypatch.setattr(scan, "read_image", read)
    monkeypatch.setattr(staging, "write_report", write)
    outcome = run_batch(Options(source, output), lambda _: FakeSegmenter(POINTS, before=networks))
    assert outcome.exit_code == 0 and seen == [True] * 3
    assert [report["case"] for report in outcome.written] == ["a.nii.gz", "b.nii.gz"]


def job_of(path) -> case_job.CaseJob:
    options = Options(path.parent, path.parent / "out")
    return case_job.CaseJob(Case.from_path(path, path.parent), options)


def test_a_scan_for_which_memory_was_short_is_read_again(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.nii.gz"
    write_scan(path)
    read_scan, tries = case_job.read_scan, []

    def short_at_first(case, force):
        tries.append(case)
        if len(tries) == 1:
            raise MemoryShortage("needs more", str(case.where))
        return read_scan(case, force)

    monkeypatch.setattr(case_job, "read_scan", short_at_first)
    job = job_of(path)
    with ReadAhead() as reader:
        reader.begin(job)
        assert reader.take(job).image.grid.size == (24, 26, 40)
    assert len(tries) == 2


def test_nothing_is_read_ahead_without_room(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.nii.gz"
    write_scan(path)
    monkeypatch.setattr(overlap, "free_bytes", lambda: path.stat().st_size)
    with ReadAhead() as reader:
        reader.begin(job_of(path))
        assert not reader.is_reading


def test_what_the_other_thread_raises_is_raised_at_the_end() -> None:
    def fail() -> None:
        raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError), WriteBehind() as writer:
        writer.begin(lambda: None)
        writer.begin(fail)


def test_a_job_keeps_its_lock_from_thread_to_thread_and_lets_go_at_its_end(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    options = Options(tmp_path / "in", tmp_path / "out")
    case = Case.from_path(tmp_path / "in" / "a.nii.gz", tmp_path / "in")
    segmenter = FakeSegmenter(POINTS)
    run = RunInfo.of(segmenter, options)
    job, other = case_job.CaseJob(case, options), case_job.CaseJob(case, options)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(job.read)
        assert job.claim(run) == "mine" and other.claim(run) == "busy"
        job.compute(read.result(), segmenter, run, lambda *_: None)
        report = pool.submit(job.finish, run).result()
    assert report["status"] == "ok" and other.claim(run) == "complete"
    assert not list((tmp_path / "out").glob(".*"))
