"""What sample making costs beside the bare network step: ``python -m tests.bench.factory``.

For each stage: a sample drawn on the host, the same made on the device (painted, acquired,
deformed), the whole training step, and the step of the network alone on samples that are there;
the ratio of these two by the clock, and by processor time, which says more on a busy machine.
Without an atlas (``--data``) bodies are phantoms of the pool or of the program's own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vertseg.phantom import make_phantom
from vertseg.stages import Stage
from vertseg.training.factory.phantoms import draw_phantom
from vertseg.training.loop.methods import build_optimizer
from vertseg.training.loop.prefetch import on_device, stacked
from vertseg.training.loop.steps import make_step
from vertseg.training.loop.trainer import StageTrainer
from vertseg.training.presets import find_preset
from vertseg.training.recipe import Recipe, recipe_for
from vertseg.training.sample.appearance import NoiseBank
from vertseg.training.sample.draws import draw_sample
from vertseg.training.sources import Sources
from vertseg.training.volumes import RealVolume


class BareTrainer(StageTrainer):
    """Takes samples that are made already."""

    def samples(self, draws):
        """What it is given."""
        return draws


def main() -> None:
    """Print a line of figures for each stage."""
    options = _parser().parse_args()
    keras.mixed_precision.set_global_policy(options.precision)
    preset = find_preset(options.preset)
    print(f"Keras on {keras.backend.backend()}, {options.precision}, batch {options.batch}")
    print(
        "stage           draw s  sample s    bare s    step s  samples/s  ratio  of processor time"
    )
    for stage in options.stage or Stage:
        recipe = recipe_for(stage, getattr(preset, stage))
        draw = _maker(recipe, options)
        host, draws = _drawn(draw, options.batch)
        trainer, bare = StageTrainer(preset, recipe), BareTrainer(preset, recipe)
        sampled = _compiled(trainer)
        samples = sampled(draws)
        runs = [lambda f=sampled, d=draws: f(d), _step(bare, samples), _step(trainer, draws)]
        times = _measure(runs, options.repeats)
        sample, alone, whole = np.median(times, axis=0)[:, 0]
        clock = (host, sample / options.batch, alone, whole, options.batch / whole)
        ratios = np.median(times[:, 2] / times[:, 1], axis=0)
        line = "".join(f"{value:10.3f}" for value in clock)
        print(f"{stage:14}{line}{ratios[0]:8.2f}{ratios[1]:8.2f}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.factory", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with atlas/ and the centroid tables")
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--preset", default="default")
    parser.add_argument(
        "--stage", choices=[stage.value for stage in Stage], action="append", help="default: all"
    )
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--precision", default="mixed_bfloat16")
    return parser


def _maker(recipe: Recipe, options: argparse.Namespace) -> Callable[[np.random.Generator], Any]:
    if options.data or options.pool:
        return Sources(options.data, recipe, options.pool).draw
    phantom = make_phantom(("T12", "L4"), recipe.source_spacing_mm, 1, noise_hu=0.0)
    points = {c.label: phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids}
    volume = RealVolume("phantom", phantom.labels, points)
    bank = NoiseBank(recipe.source_size)
    return lambda rng: draw_sample(recipe, draw_phantom(recipe, [volume], rng), bank, rng)


def _drawn(draw: Callable[[np.random.Generator], Any], batch: int) -> tuple[float, dict[str, Any]]:
    """Seconds a draw on one thread, and a batch of draws on the device."""
    begin = time.perf_counter()
    draws = [draw(np.random.default_rng(seed)) for seed in range(batch + 2)][:batch]
    seconds = (time.perf_counter() - begin) / (batch + 2)
    return seconds, on_device(stacked(draws))


def _step(trainer: StageTrainer, inputs: dict[str, Any]) -> Callable[[], Any]:
    optimizer = build_optimizer(trainer.method, 1e-6, 0.998)
    optimizer.build(trainer.trainable_variables)
    step = make_step(trainer, optimizer)
    return lambda: step(inputs, 1e-6)


def _compiled(trainer: StageTrainer) -> Callable[[Any], Any]:
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(trainer.samples)
    import tensorflow as tf

    return tf.function(trainer.samples)


def _measure(runs: Sequence[Callable[[], Any]], repeats: int) -> np.ndarray:
    """Seconds (repeats, runs, 2) by the clock and of the processor, after one that compiles.

    The runs take turns, so that what else the machine does meets all of them.
    """
    for run in runs:
        _wait(run())
    times = np.empty((repeats, len(runs), 2))
    for row in times:
        for place, run in enumerate(runs):
            begin = time.perf_counter(), time.process_time()
            _wait(run())
            row[place] = time.perf_counter() - begin[0], time.process_time() - begin[1]
    return times


def _wait(result: Any) -> None:
    for leaf in keras.tree.flatten(result):
        np.asarray(leaf)


if __name__ == "__main__":
    main()
