"""One run on several GPUs of one machine: a process for each, with a share of the scans."""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from vertseg.batch.options import Options
from vertseg.batch.outcome import Outcome, merge_shards
from vertseg.batch.shards import Shard
from vertseg.errors import ConfigurationError, VertsegError
from vertseg.system.signals import Stopped, stop_on_signals

if TYPE_CHECKING:
    from vertseg.stages.segmenter import Segmenter

_LOGGER = logging.getLogger(__name__)

_OPTION = "--gpus"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
Load = Callable[[Options], "Segmenter"]


def run_on_gpus(options: Options, load: Load) -> Outcome:
    """Share the scans among GPUs, then write one summary and gallery of all.

    A run that is itself a shard leaves those to ``--merge``.

    Args:
        options: of the run; `Options.gpus` says how many.
        load: makes the segmenter in each process; must be importable there.

    Raises:
        ConfigurationError: fewer GPUs than asked for, or a process could not start.
        NoInputError: there is no scan.
        OutputError: the summary or the gallery cannot be written.
    """
    from vertseg.batch.run import check_output

    gpus = _chosen(options.gpus or 0, visible_gpus())
    check_output(options)
    shards = shards_of_gpus(options.shard, len(gpus))
    threads = options.threads or max(1, (os.cpu_count() or 1) // len(gpus))
    _LOGGER.info("%d GPUs, one process each with %d processor threads.", len(gpus), threads)
    parts = [replace(options, shard=s, threads=threads, gpus=None, device="gpu") for s in shards]
    codes = _run_all(list(zip(gpus, parts, strict=True)), load)
    if any(code == 1 for code in codes):
        raise ConfigurationError("did not start", _OPTION, remedy="Read the messages above.")
    stopped = next((code for code in codes if code > 128), 0)
    if options.shard is not None:
        return Outcome(stopped=stopped or _together(codes))
    outcome = merge_shards(options)
    outcome.stopped = stopped
    return outcome


def visible_gpus() -> tuple[str, ...]:
    """Names of the GPUs that this process may use, fit for ``CUDA_VISIBLE_DEVICES``."""
    chosen = os.environ.get(_VISIBLE)
    if chosen is not None:
        names = [name.strip() for name in chosen.split(",")]
        return tuple(name for name in names if name and not name.startswith("-"))
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return parse_gpu_list(listed.stdout)


def parse_gpu_list(text: str) -> tuple[str, ...]:
    """Identities from the list of ``nvidia-smi -L``; of a GPU that is divided, of its parts."""
    found: list[str] = []
    for line in text.splitlines():
        identity = line.partition("UUID: ")[2].rstrip(") ")
        if line.lstrip().startswith("MIG") and found and found[-1].startswith("GPU-"):
            found.pop()
        if identity:
            found.append(identity)
    return tuple(found)


def _chosen(count: int, gpus: Sequence[str]) -> Sequence[str]:
    if not gpus or count > len(gpus):
        what = f"asks for {count or 'all'} GPUs, but {len(gpus)} can be seen"
        remedy = "Start the container with --gpus all, check nvidia-smi, or ask for fewer."
        raise ConfigurationError(what, _OPTION, remedy=remedy)
    return gpus[: count or None]


def _together(codes: Sequence[int]) -> int:
    """Exit code of all processes: 0 or 3 if it is that of each, else 2."""
    return codes[0] if len(set(codes)) == 1 else 2


def shards_of_gpus(outer: Shard | None, count: int) -> list[Shard]:
    """Shares for processes; together with those of the other shards they hold each scan once."""
    number, outer_count = (outer.number, outer.count) if outer else (1, 1)
    first = (number - 1) * count + 1
    return [Shard(first + n, outer_count * count) for n in range(count)]


def _run_all(work: Sequence[tuple[str, Options]], load: Load) -> list[int]:
    """Exit codes of the processes; a signal is passed on to them, and they are waited for."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work, args=(*part, load)) for part in work]
    try:
        with stop_on_signals():
            for process in processes:
                process.start()
            return [_join(process) for process in processes]
    except Stopped:
        for process in processes:
            if process.pid is not None:
                process.terminate()
        return [_join(process) for process in processes if process.pid is not None]


def _join(process: SpawnProcess) -> int:
    process.join()
    code = process.exitcode or 0
    return code if code >= 0 else 128 - code  # as a shell says that a signal ended it


def _work(gpu: str, options: Options, load: Load) -> None:
    """What a process does; it ends with the exit code of its run."""
    os.environ[_VISIBLE] = gpu
    os.setsid()  # a Ctrl-C on the terminal reaches the first process alone, which passes it on
    from vertseg.batch.run import run_batch
    from vertseg.system.log import set_up_logging

    set_up_logging(options.verbose, f"[{options.shard}] ", options.log_format == "json")
    try:
        sys.exit(run_batch(options, load).exit_code)
    except VertsegError as error:
        _LOGGER.error("%s", error, exc_info=error if options.verbose else None)
        sys.exit(error.exit_code)
