"""Samples drawn ahead on threads, put together to batches and onto the device."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

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
        batch: samples in a batch.
        workers: threads that draw.
    """
    stop = threading.Event()
    drawn = [queue.Queue[Any](_AHEAD) for _ in range(workers)]
    ready: queue.Queue[Any] = queue.Queue(2)

    def draw_all(worker: int) -> Iterator[Sample]:
        number = first + worker
        while True:
            yield draw(np.random.default_rng((seed, number)))
            number += workers

    def batch_all() -> Iterator[dict[str, Any]]:
        number = 0
        while True:
            samples = [_taken(drawn[(number + i) % workers], stop) for i in range(batch)]
            number += batch
            yield on_device(stacked(samples))

    for worker in range(workers):
        _start(draw_all(worker), drawn[worker], stop)
    _start(batch_all(), ready, stop)
    try:
        while True:
            begin = time.monotonic()
            arrays = _taken(ready, stop)
            yield Batch(arrays, time.monotonic() - begin)
    finally:
        stop.set()


def _start(items: Iterator[Any], into: queue.Queue[Any], stop: threading.Event) -> None:
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

    threading.Thread(target=work, daemon=True).start()


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
    """The arrays on the device, on all devices a part each where there are several (JAX)."""
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
