"""The state of a training run in files, each of which appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np


def save(trainer: keras.Model, optimizer: keras.optimizers.Optimizer, folder: Path, step: int):
    """Writes ``STAGE.checkpoint.npz``, and the averaged weights to ``STAGE.weights.h5``."""
    stage = trainer.recipe.stage
    raw = [np.asarray(v) for v in trainer.trainable_variables]
    state = [np.asarray(v) for v in optimizer.variables]
    arrays = {f"w{i}": v for i, v in enumerate(raw)} | {f"o{i}": v for i, v in enumerate(state)}
    partial = folder / f"{stage}.checkpoint.part.npz"
    np.savez(partial, step=np.array(step), **arrays)  # type: ignore[arg-type]
    os.replace(partial, folder / f"{stage}.checkpoint.npz")
    partial = folder / f"{stage}.part.weights.h5"
    with averaged(trainer, optimizer):
        trainer.network.save_weights(partial)
    os.replace(partial, folder / f"{stage}.weights.h5")


def restore(trainer: keras.Model, optimizer: keras.optimizers.Optimizer, folder: Path) -> int:
    """Number of steps done: those of the checkpoint in `folder`, which is loaded, or 0."""
    path = folder / f"{trainer.recipe.stage}.checkpoint.npz"
    if not path.exists():
        return 0
    with np.load(path) as data:
        for prefix, variables in (("w", trainer.trainable_variables), ("o", optimizer.variables)):
            for i, variable in enumerate(variables):
                variable.assign(data[f"{prefix}{i}"])
        return int(data["step"])


@contextmanager
def averaged(trainer: keras.Model, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Within the block the weights are their moving average, if the optimiser keeps one."""
    raw = [np.asarray(v) for v in trainer.trainable_variables]
    optimizer.finalize_variable_values(trainer.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(trainer.trainable_variables, raw, strict=True):
            variable.assign(value)
