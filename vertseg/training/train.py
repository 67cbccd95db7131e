"""The training loop: draws on threads, one graph per step, checkpoints by the clock."""

from __future__ import annotations

import csv
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from models import Preset, preset_to_dict
from vertseg.training.recipe import Recipe
from vertseg.training.trainer import StageTrainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """How one stage is trained.

    Attributes:
        minutes: wall-clock time of this leg; the last checkpoint is written inside it.
        steps: stop after this many steps of the leg, if that is sooner.
        rate: peak learning rate of Adam.
        final_rate: share of `rate` at the end of the leg (cosine decay over the leg).
        warmup: steps over which the rate rises.
        seed: seed of the first sample; sample k of a run is made from (seed, k).
        ema: momentum of the weights' moving average, which is what is saved as weights.
        checkpoint_s: seconds between checkpoints.
        workers: threads that draw samples.
    """

    minutes: float = 9.0
    steps: int = 10**9
    rate: float = 5e-4
    final_rate: float = 0.02
    warmup: int = 100
    seed: int = 0
    ema: float = 0.998
    checkpoint_s: float = 180.0
    workers: int = 1


def train(
    preset: Preset,
    recipe: Recipe,
    draw: Callable[[np.random.Generator], dict[str, np.ndarray]],
    folder: Path,
    config: TrainConfig,
) -> Path:
    """Trains one stage and returns the file of its averaged weights.

    Writes ``STAGE.weights.h5`` (moving average), ``STAGE.checkpoint.npz`` (everything needed to
    go on), ``STAGE.csv`` (the curve) and ``STAGE.json`` (preset and configuration) to `folder`.
    A checkpoint found there is continued.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trainer = StageTrainer(preset, recipe)
    optimizer = keras.optimizers.Adam(
        config.rate, global_clipnorm=5.0, use_ema=True, ema_momentum=config.ema
    )
    trainer.compile(optimizer=optimizer, jit_compile=keras.backend.backend() == "jax")
    optimizer.build(trainer.trainable_variables)
    checkpoint = folder / f"{recipe.stage}.checkpoint.npz"
    step = _restore(checkpoint, trainer, optimizer)
    description = {"preset": preset_to_dict(preset), "config": asdict(config), "from_step": step}
    (folder / f"{recipe.stage}.{step:06d}.json").write_text(json.dumps(description, indent=1))
    log.info("%s: from step %d", recipe.stage, step)
    _loop(trainer, optimizer, draw, folder, config, step, checkpoint)
    return folder / f"{recipe.stage}.weights.h5"


def _loop(trainer, optimizer, draw, folder, config: TrainConfig, step: int, checkpoint: Path):
    stage = trainer.recipe.stage
    begin = saved = time.monotonic()
    budget = config.minutes * 60.0
    losses: list[float] = []
    waited, first = 0.0, step
    with (folder / f"{stage}.csv").open("a", newline="") as file, tqdm(unit="step") as bar:
        writer = csv.writer(file)
        for sample in _prefetch(draw, config, step):
            waited += sample.waited
            elapsed = time.monotonic() - begin
            progress = max(elapsed / budget, (step - first) / config.steps)
            if progress >= 0.98 or step - first >= config.steps:
                break
            rate = config.rate * min(1.0, (step + 1) / config.warmup)
            rate *= config.final_rate + (1 - config.final_rate) * 0.5 * (
                1 + np.cos(np.pi * progress)
            )
            optimizer.learning_rate.assign(rate)
            losses.append(float(trainer.train_on_batch(sample.arrays)))
            if not np.isfinite(losses[-1]):
                raise FloatingPointError(f"{stage}: loss is {losses[-1]} at step {step}")
            step += 1
            bar.update()
            if step % 20 == 0:
                elapsed = time.monotonic() - begin
                row = (step, np.mean(losses), rate, (step - first) / elapsed, waited / elapsed)
                writer.writerow([f"{v:.6g}" for v in row])
                file.flush()
                bar.set_postfix(loss=f"{row[1]:.4f}", wait=f"{row[4]:.0%}")
                losses.clear()
            if time.monotonic() - saved > config.checkpoint_s:
                _save(trainer, optimizer, folder, checkpoint, step)
                saved = time.monotonic()
    _save(trainer, optimizer, folder, checkpoint, step)


@dataclass(frozen=True)
class _Sample:
    arrays: dict[str, np.ndarray]
    waited: float


def _prefetch(draw, config: TrainConfig, step: int) -> Iterator[_Sample]:
    """Samples in the order of their number, drawn ahead by `workers` threads."""
    queues: list[queue.Queue] = [queue.Queue(4) for _ in range(config.workers)]
    stop = threading.Event()

    def work(worker: int) -> None:
        number = step + worker
        while not stop.is_set():
            try:
                item = draw(np.random.default_rng((config.seed, number)))
            except Exception as error:  # handed to the training thread, which raises it
                item = error
            while not stop.is_set():
                try:
                    queues[worker].put(item, timeout=0.5)
                    break
                except queue.Full:
                    continue
            number += config.workers

    threads = [threading.Thread(target=work, args=(w,), daemon=True) for w in range(config.workers)]
    for thread in threads:
        thread.start()
    try:
        while True:
            for source in queues:
                begin = time.monotonic()
                item = source.get()
                if isinstance(item, Exception):
                    raise item
                yield _Sample(item, time.monotonic() - begin)
    finally:
        stop.set()


def _save(trainer, optimizer, folder: Path, checkpoint: Path, step: int) -> None:
    """The checkpoint, and the averaged weights beside it; each file appears whole."""
    raw = [np.asarray(v) for v in trainer.trainable_variables]
    state = [np.asarray(v) for v in optimizer.variables]
    arrays = {f"w{i}": v for i, v in enumerate(raw)} | {f"o{i}": v for i, v in enumerate(state)}
    partial = checkpoint.with_suffix(".part.npz")
    np.savez(partial, step=np.array(step), **arrays)  # type: ignore[arg-type]
    os.replace(partial, checkpoint)
    optimizer.finalize_variable_values(trainer.trainable_variables)
    partial = folder / f"{trainer.recipe.stage}.part.weights.h5"
    trainer.network.save_weights(partial)
    os.replace(partial, folder / f"{trainer.recipe.stage}.weights.h5")
    for variable, value in zip(trainer.trainable_variables, raw, strict=True):
        variable.assign(value)


def _restore(checkpoint: Path, trainer, optimizer) -> int:
    if not checkpoint.exists():
        return 0
    with np.load(checkpoint) as data:
        for i, variable in enumerate(trainer.trainable_variables):
            variable.assign(data[f"w{i}"])
        for i, variable in enumerate(optimizer.variables):
            variable.assign(data[f"o{i}"])
        return int(data["step"])
