"""The training loop: samples ahead on threads, one compiled step, checkpoints by the clock."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from models import Preset, preset_to_dict
from models.published import PublishedMethod
from vertseg.stages.weights import Weights
from vertseg.system.signals import Stopped, note_signals
from vertseg.training.loop import checkpoint
from vertseg.training.loop.checkpoint import check_fold, start_from
from vertseg.training.loop.curve import Curve
from vertseg.training.loop.methods import build_optimizer
from vertseg.training.loop.prefetch import Sample, prefetch
from vertseg.training.loop.published import PublishedTrainer
from vertseg.training.loop.steps import forbid_tf32, make_step, use_all_devices
from vertseg.training.loop.trainer import StageTrainer
from vertseg.training.recipe import Recipe
from vertseg.training.sample.published import PublishedRecipe

log = logging.getLogger(__name__)

Draw = Callable[[np.random.Generator], Sample]


@dataclass(frozen=True)
class TrainConfig:
    """How one stage is trained.

    Attributes:
        minutes: wall-clock time of this leg, None for any; the last checkpoint is written inside
            it.
        steps: stop after this many steps of the leg, if that is sooner.
        until: stop when the run has done this many steps in all, if that is sooner.
        batch: samples per step.
        rate: peak learning rate; the method's own if None.
        final_rate: share of `rate` at the end of the leg (cosine decay over the leg).
        warmup: steps over which the rate rises, from the first of the optimiser.
        seed: seed of the first sample; sample k of a run is made from (seed, k).
        ema: momentum of the weights' moving average, which is what is saved as weights.
        row_every: steps between rows of the curve; losses are fetched no more often.
        checkpoint_s: seconds between checkpoints.
        workers: threads that draw samples.
        validate_every: steps between validations; 0 for none.
        validation_samples: how many there are.
        tensorboard: whether TensorBoard's files are written.
        hold_out: names of scans that the samples are never made of; None for those of `real.py`.
        data, pool, fold, precision, augmentation: where the samples come from and how they are
            made, as `vertseg.training.sources` and the command line take them. They are recorded,
            and a checkpoint is not continued with another fold.
        held_out: names of the cases that the samples are not made of; None if that is not known.
    """

    minutes: float | None = 9.0
    steps: int = 10**9
    until: int = 10**9
    batch: int = 1
    rate: float | None = None
    final_rate: float = 0.02
    warmup: int = 100
    seed: int = 0
    ema: float = 0.998
    row_every: int = 20
    checkpoint_s: float = 180.0
    workers: int = 1
    validate_every: int = 0
    validation_samples: int = 6
    tensorboard: bool = False
    hold_out: tuple[str, ...] | None = None
    data: Path | None = None
    pool: Path | None = None
    fold: int | None = None
    precision: str = ""
    augmentation: float = 1.0
    held_out: tuple[str, ...] | None = None


def train(
    preset: Preset,
    recipe: Recipe | PublishedRecipe,
    draw: Draw,
    folder: Path,
    config: TrainConfig,
    draw_validation: Draw | None = None,
    weights: Weights | None = None,
) -> Path:
    """Trains one stage and returns the file of its averaged weights.

    Writes ``STAGE.weights.h5`` (moving average), ``STAGE.checkpoint.npz`` (everything needed to
    continue), ``STAGE.csv`` (the curve, see `curve.py`) and ``STAGE.STEP.json`` (preset and
    configuration) to `folder`, and with validation ``STAGE.validation.csv`` and pictures. A
    checkpoint found there is continued.

    Args:
        preset: of the networks.
        recipe: what the samples look like.
        draw: makes a training sample.
        folder: of the run.
        config: how long, how fast.
        draw_validation: makes a sample that training never sees; `draw` with other seeds if None.
        weights: what a run without checkpoint starts from; random ones if None.

    Raises:
        Stopped: Ctrl-C or SIGTERM came; the checkpoint is written.
        FloatingPointError: the loss is no longer finite.
        ConfigurationError: the batch cannot be dealt out to the devices, `weights` are of
            another network, or the run left out another fold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    forbid_tf32()
    check_fold(folder, recipe.stage, config.fold)
    devices = use_all_devices(config.batch)
    run = _Run(preset, recipe, folder, config, weights)
    if config.validate_every:
        run.watch(draw_validation or draw)
    description = {
        "preset": preset_to_dict(preset),
        "config": asdict(config) | {"rate": run.rate},
        "method": asdict(run.trainer.method),
        "backend": keras.backend.backend(),
        "from_step": run.step,
    }
    path = folder / f"{recipe.stage}.{run.step:06d}.json"
    path.write_text(json.dumps(description, indent=1, default=str))
    log.info("%s: from step %d, %d device(s)", recipe.stage, run.step, devices)
    with note_signals() as signals:
        try:
            run.go(draw, signals)
        finally:
            run.curve.close()
    if signals:
        raise Stopped(signals[0])
    return folder / f"{recipe.stage}.weights.h5"


def build_trainer(
    preset: Preset, recipe: Recipe | PublishedRecipe
) -> StageTrainer | PublishedTrainer:
    """The trainer that takes the samples of a recipe."""
    if isinstance(recipe, PublishedRecipe):
        return PublishedTrainer(preset, recipe)
    return StageTrainer(preset, recipe)


class _Run:
    """One leg of a training."""

    def __init__(
        self,
        preset: Preset,
        recipe: Recipe | PublishedRecipe,
        folder: Path,
        config: TrainConfig,
        weights: Weights | None,
    ) -> None:
        self.config, self.folder, self.stage = config, folder, recipe.stage
        self.trainer = build_trainer(preset, recipe)
        method = self.trainer.method
        self.rate = method.rate if config.rate is None else config.rate
        self.optimizer = build_optimizer(method, self.rate, config.ema)
        self.optimizer.build(self.trainer.trainable_variables)
        self.step = checkpoint.restore(self.trainer, self.optimizer, folder)
        if weights is not None and not self.step:
            self.step = start_from(weights, self.trainer, folder)
        self._first = self.step
        self._updates = int(self.optimizer.iterations)
        self._compiled = make_step(self.trainer, self.optimizer)
        self.curve = Curve(folder, recipe.stage, config.tensorboard)
        self._look: Any = None

    def watch(self, draw: Draw) -> None:
        """Evaluates samples of `draw` at intervals."""
        from vertseg.training.loop.held_back import Validation  # late: training needs no PIL

        self._look = Validation(self.trainer, draw, self.config.validation_samples)

    def go(self, draw: Draw, signals: list[int]) -> None:
        """Steps until time or steps are over, or a signal has come; then the checkpoint."""
        config, losses, waited = self.config, [], 0.0
        begin = saved = time.monotonic()
        first = self.step * config.batch
        samples = prefetch(draw, config.seed, first, config.batch, config.workers)
        with tqdm(unit="sample") as bar:
            for batch in samples:
                waited += batch.waited_s
                elapsed = time.monotonic() - begin
                done = self.step - self._first
                progress = done / config.steps
                if config.minutes is not None:
                    progress = max(progress, elapsed / (config.minutes * 60.0))
                if signals or progress >= 0.98 or done >= config.steps or self._over:
                    break
                rate = self._rate(progress)
                losses.append(self._compiled(batch.arrays, rate))
                self.step += 1
                bar.update(config.batch)
                if self.step % config.row_every == 0:
                    self._add_row(losses, rate, waited, time.monotonic() - begin, bar)
                if self._look is not None and self.step % config.validate_every == 0:
                    self._validate()
                if time.monotonic() - saved > config.checkpoint_s:
                    self._save(losses)
                    saved = time.monotonic()
            if losses:
                self._add_row(losses, rate, waited, time.monotonic() - begin, bar)
        samples.close()
        self._save(losses)

    @property
    def _over(self) -> bool:
        """Whether the whole run, not only this leg, is finished."""
        return self.step >= self.config.until

    def _add_row(
        self, losses: list[Any], rate: float, waited: float, elapsed: float, bar: tqdm
    ) -> None:
        """A row of the curve with the mean of `losses`, which are used up."""
        mean = self._mean(losses)
        speed = (self.step - self._first) * self.config.batch / elapsed
        values = (mean, rate, speed, waited / elapsed)
        names = ("loss", "rate", "samples_per_s", "waited")
        self.curve.add(self.step, dict(zip(names, values, strict=True)))
        bar.set_postfix(loss=f"{mean:.4f}", wait=f"{waited / elapsed:.0%}")
        losses.clear()

    def _rate(self, progress: float) -> float:
        """The learning rate at a share of the leg: it rises at first and falls to the end.

        The published one stays as it is.
        """
        if isinstance(self.trainer.method, PublishedMethod):
            return self.rate
        end = self.config.final_rate
        falling = end + (1 - end) * 0.5 * (1 + np.cos(np.pi * progress))
        updates = self._updates + self.step - self._first
        return float(self.rate * min(1.0, (updates + 1) / self.config.warmup) * falling)

    def _mean(self, losses: list[Any]) -> float:
        values = np.array([float(loss) for loss in losses])
        if not np.isfinite(values).all():
            raise FloatingPointError(f"{self.stage}: a loss before step {self.step} is not finite")
        return float(values.mean()) if len(values) else 0.0

    def _validate(self) -> None:
        self._compiled.sync()
        with checkpoint.averaged(self.trainer, self.optimizer):
            loss = self._look(self.folder / f"{self.stage}.{self.step:06d}.png")
        self.curve.add_validation(self.step, loss)

    def _save(self, losses: list[Any]) -> None:
        self._mean(losses)  # weights that cannot be used are not written
        self._compiled.sync()
        checkpoint.save(self.trainer, self.optimizer, self.folder, self.step)
