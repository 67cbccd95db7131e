"""Samples drawn in processes are those that threads draw."""

from functools import partial
from multiprocessing import active_children

import numpy as np
import pytest

from vertseg.errors import ConfigurationError
from vertseg.training.loop.prefetch import prefetch
from vertseg.training.loop.workers import Portable
from vertseg.training.sample.draw import PerAxis


def draw(scale, rng):
    axes = PerAxis(*(rng.random((3, n)) for n in (4, 5, 6)))
    noise = (scale * rng.random((4, 5, 6))).astype(np.float16)
    return {"labels": rng.integers(0, 9, (4, 5, 6)).astype(np.int16), "noise": noise, "psf": axes}


def make(scale):
    return partial(draw, scale)


def refuse():
    raise ConfigurationError("there is nothing to train on", "--pool", remedy="Give a pool.")


def take(draws, count, workers):
    batches = prefetch(draws, 3, 10, 2, workers)
    found = [next(batches).arrays for _ in range(count)]
    batches.close()
    return found


def test_processes_draw_what_threads_draw() -> None:
    expected = take(make(2.0), 5, 2)
    found = take(Portable(partial(make, 2.0)), 5, 2)
    for mine, other in zip(found, expected, strict=True):
        assert mine["labels"].dtype == np.int16 and mine["noise"].dtype == np.float16
        for name in ("labels", "noise"):
            np.testing.assert_array_equal(mine[name], other[name])
        for one, two in zip(mine["psf"], other["psf"], strict=True):
            np.testing.assert_array_equal(one, two)
    assert not active_children()


def test_an_error_of_a_process_is_raised_here() -> None:
    with pytest.raises(ConfigurationError, match="nothing to train on"):
        take(Portable(refuse), 1, 2)
    assert not active_children()
