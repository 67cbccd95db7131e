"""Samples drawn ahead, put together to batches and onto the device."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from vertseg.training.loop.workers import Portable, Worker

Sample = Mapping[str, Any]
"""Arrays by name, some of them in tuples (see `vertseg.training.sample.draw`)."""

_AHEAD = 4
"""Samples that each thread draws ahead; there are also two batches ready on the device."""


@dataclass(frozen=True)
class Batch:
    """A batch and what it cost.

    Attributes:
        arrays: each with a leading batch axis; on the device already if that is a GPU.
        waited_s: how long the training thread had to wait for it.
    """

    arrays: dict[str, Any]
    waited_s: float


def prefetch(
    draw: Callable[[np.random.Generator], Sample], seed: int, first: int, batch: int, workers: int
) -> Generator[Batch, None, None]:
    """Batches of samples in the order of their number; an error of a thread is raised here.

    Args:
        draw: makes a sample; number k is made from a generator seeded with (`seed`, k).
        seed: of the run.
        first: number of the first sample.
        batch: samples per batch.
        workers: threads that draw, or processes where `draw` is `Portable` and there are several.
    """
    stop = threading.Event()
    ready: queue.Queue[Any] = queue.Queue(2)
    processes: list[Worker] = []
    take: list[Callable[[], Sample]]
    if workers > 1 and isinstance(draw, Portable):
        processes += [Worker(draw, seed, first + worker, workers) for worker in range(workers)]
        take = [partial(process.take, stop) for process in processes]
    else:
        numbers = [itertools.count(first + worker, workers) for worker in range(workers)]
        take = [_drawing(draw, seed, counted, stop) for counted in numbers]

    def batch_all() -> Iterator[dict[str, Any]]:
        number = 0
        while True:
            samples = [take[(number + i) % workers]() for i in range(batch)]
            number += batch
            yield on_device(stacked(samples))

    batching = _start(batch_all(), ready, stop)
    try:
        while True:
            begin = time.monotonic()
            arrays = _taken(ready, stop)
            yield Batch(arrays, time.monotonic() - begin)
    finally:
        stop.set()
        if processes:
            batching.join()
        for process in processes:
            process.close()


def _drawing(
    draw: Callable[[np.random.Generator], Sample],
    seed: int,
    numbers: Iterator[int],
    stop: threading.Event,
) -> Callable[[], Sample]:
    """Takes the next sample of a thread that draws those of some numbers."""
    drawn: queue.Queue[Any] = queue.Queue(_AHEAD)
    _start((draw(np.random.default_rng((seed, number))) for number in numbers), drawn, stop)
    return lambda: _taken(drawn, stop)


def _start(items: Iterator[Any], into: queue.Queue[Any], stop: threading.Event) -> threading.Thread:
    """A thread that keeps a queue filled; an error takes the place of an item and ends it."""

    def work() -> None:
        while not stop.is_set():
            try:
                item = next(items)
            except Exception as error:  # handed on to the training thread, which raises it
                item = error
            while not stop.is_set():
                try:
                    into.put(item, timeout=0.5)
                    break
                except queue.Full:
                    continue
            if isinstance(item, Exception):
                return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _taken(source: queue.Queue[Any], stop: threading.Event) -> Any:
    """The next item; raises the error of the thread that makes them, or when told to stop."""
    while True:
        try:
            item = source.get(timeout=0.5)
        except queue.Empty:
            if stop.is_set():
                raise RuntimeError("stopped") from None
            continue
        if isinstance(item, Exception):
            raise item
        return item


def stacked(samples: Sequence[Sample]) -> dict[str, Any]:
    """A batch: the arrays of all samples with a leading batch axis."""
    batch: dict[str, Any] = keras.tree.map_structure(lambda *each: np.stack(each), *samples)
    return batch


def on_device(arrays: Sample) -> dict[str, Any]:
    """The arrays on the device; where there are several (JAX), one part on each."""
    if keras.backend.backend() != "jax":
        return dict(arrays)
    import jax

    distribution = keras.distribution.distribution()
    if distribution is None:
        return jax.device_put(arrays)

    def layout(array: np.ndarray) -> Any:
        return distribution.get_data_layout(array.shape).backend_layout

    return jax.device_put(arrays, keras.tree.map_structure(layout, arrays))


class Reuse:
    """Makes about `times` samples of each source: tissues, scanner and deformation are new ones.

    For machines whose accelerator is faster than their processor poses bodies. Which source a
    sample is made of then depends on what was drawn before.

    Args:
        sources: has `source(rng)` and `sample(source, rng)` (see `sources.Sources`).
        times: samples a source on average.
        keep: sources to choose from.
    """

    def __init__(self, sources: Any, times: int, keep: int = 64) -> None:
        self._sources, self._times, self._keep = sources, times, keep
        self._kept: list[Any] = []
        self._lock = threading.Lock()

    def draw(self, rng: np.random.Generator) -> Sample:
        """One sample."""
        if len(self._kept) < self._keep or rng.random() < 1.0 / self._times:
            source = self._sources.source(rng)
            with self._lock:
                self._kept = [*self._kept[-self._keep + 1 :], source]
        else:
            source = self._kept[rng.integers(self._keep)]
        return self._sources.sample(source, rng)
