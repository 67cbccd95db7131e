"""Samples drawn in processes of their own, which hand them over in shared memory.

Threads share one interpreter: beyond two or three of them its lock leaves an accelerator waiting.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import keras
import numpy as np

DrawSample = Callable[[np.random.Generator], Mapping[str, Any]]

_SLOTS = 4
"""Samples that each process draws ahead."""
_ALIGNED = 64
_HOST_ONLY = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


class Portable:
    """A draw that other processes can make for themselves, when it is first used.

    Args:
        make: makes the draw; it can be pickled.
    """

    def __init__(self, make: Callable[[], DrawSample]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: DrawSample | None = None

    def __call__(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """One sample."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return self._made(rng)

    def __reduce__(self) -> tuple[type[Portable], tuple[Callable[[], DrawSample]]]:
        return Portable, (self._make,)


class Worker:
    """A process that draws every `step`-th sample.

    Args:
        draw: makes a sample; number k from a generator seeded with (`seed`, k).
        seed: of the run.
        number: of its first sample.
        step: from one of its samples to the next.
    """

    def __init__(self, draw: Portable, seed: int, number: int, step: int) -> None:
        context = get_context("spawn")
        self._line, theirs = context.Pipe()
        self._memory: SharedMemory | None = None
        self._arrays: list[list[np.ndarray]] = []
        self._form: Any = None
        arguments = (theirs, draw, seed, number, step)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        with _environment(_HOST_ONLY):
            self._process.start()
        theirs.close()

    def take(self, stop: threading.Event) -> Mapping[str, Any]:
        """The next sample; raises the error that ended the process.

        Raises:
            RuntimeError: `stop` was set, or the process ended.
        """
        if self._memory is None:
            self._form = self._received(stop)
            self._memory = SharedMemory(create=True, size=_SLOTS * _size(self._form))
            self._arrays = _views(self._memory, self._form)
            self._line.send(self._memory.name)
        slot = self._received(stop)
        arrays = [view.copy() for view in self._arrays[slot]]
        self._line.send(slot)
        sample: Mapping[str, Any] = keras.tree.pack_sequence_as(self._form, arrays)
        return sample

    def _received(self, stop: threading.Event) -> Any:
        while not self._line.poll(0.5):
            if stop.is_set():
                raise RuntimeError("stopped")
        try:
            message = self._line.recv()
        except EOFError as error:
            raise RuntimeError("a process that draws samples has ended") from error
        if isinstance(message, Exception):
            raise message
        return message

    def close(self) -> None:
        """End the process and free its memory."""
        self._process.terminate()
        self._process.join(5)
        self._line.close()
        self._arrays = []
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None


def _serve(line: Connection, draw: DrawSample, seed: int, number: int, step: int) -> None:
    """DrawSample samples until the other side is gone."""
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        try:
            _serve_all(line, draw, seed, number, step)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:  # handed on to the training, which raises it
            line.send(error)


def _serve_all(line: Connection, draw: DrawSample, seed: int, number: int, step: int) -> None:
    sample = draw(np.random.default_rng((seed, number)))
    line.send(keras.tree.map_structure(np.asarray, sample))
    memory = SharedMemory(line.recv())
    views, free = _views(memory, sample), [*range(_SLOTS)]
    try:
        while True:
            while not free or line.poll():
                free.append(line.recv())
            slot = free.pop()
            for view, array in zip(views[slot], keras.tree.flatten(sample), strict=True):
                view[...] = array
            line.send(slot)
            number += step
            sample = draw(np.random.default_rng((seed, number)))
    finally:
        del views
        memory.close()


def _views(memory: SharedMemory, sample: Mapping[str, Any]) -> list[list[np.ndarray]]:
    """For each slot, arrays in the shared memory of the shapes and types of a sample's."""
    leaves = [np.asarray(leaf) for leaf in keras.tree.flatten(sample)]
    slots, place = [], 0
    for _ in range(_SLOTS):
        views = []
        for leaf in leaves:
            views.append(np.ndarray(leaf.shape, leaf.dtype, memory.buf, place))
            place += _aligned(leaf.nbytes)
        slots.append(views)
    return slots


def _size(sample: Mapping[str, Any]) -> int:
    return sum(_aligned(np.asarray(leaf).nbytes) for leaf in keras.tree.flatten(sample))


def _aligned(count: int) -> int:
    return -(-max(count, 1) // _ALIGNED) * _ALIGNED


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment that processes started within the block inherit."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
