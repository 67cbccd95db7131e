"""Training that starts from exported weights, such as the bundled ones, not from random ones.

The state of a training run in files, each of which appears whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertseg.errors import ConfigurationError
from vertseg.stages import Stage
from vertseg.stages.keras_backend import load_network
from vertseg.stages.weights import Weights
from vertseg.system.atomic import write_json

if TYPE_CHECKING:
    from vertseg.training.loop.trainer import StageTrainer
import os
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

SIGMAS = "sigmas.json"
"""Ending of the file with a stage's learned sigmas, in voxels, one per label."""


def start_from(weights: Weights, trainer: StageTrainer, folder: Path) -> int:
    """Loads trained weights into a stage's network, and their history into its run.

    The curve and the legs of their manifest become those of the run, so that an export tells the
    whole training. The optimiser's state is not among what is exported: it starts afresh.

    Args:
        weights: exported weights.
        trainer: of the stage; its network takes them.
        folder: of the run, where curve and legs are written.

    Returns:
        The number of steps that the weights were trained for.

    Raises:
        ConfigurationError: the weights do not fit their preset's network, or the trainer's is
            another one.
    """
    stage = trainer.recipe.stage
    values = load_network(weights, stage).get_weights()
    sigmas = weights.manifest["files"][stage].get("sigmas_px")
    if sigmas and getattr(trainer, "sigmas", None) is not None:
        trainer.sigmas.assign(np.asarray(sigmas, np.float32))
    try:
        trainer.network.set_weights(values)
    except ValueError as error:
        raise ConfigurationError(
            f"cannot start from {weights.folder}: its {stage} network is a different one",
            where=str(error),
            expected=f"the network of the preset {weights.preset.name}",
            remedy="Leave --preset out, or train from random weights.",
        ) from error
    return _write_history(weights, stage, folder)


def untrained(runs: Path) -> list[str]:
    """Stages without weights in a folder of training runs."""
    return [stage for stage in Stage if not (runs / f"{stage}.weights.h5").is_file()]


def complete(runs: Path, weights: Weights, folder: Path) -> Path:
    """Fills `folder` with what an export needs: stages without a run come from exported weights.

    Args:
        runs: folder of the training runs; it stays as it is.
        weights: exported weights.
        folder: an empty one.

    Returns:
        `folder`.
    """
    absent = untrained(runs)
    for stage in Stage:
        if stage in absent:
            _write_history(weights, stage, folder)
            shutil.copyfile(weights.files[stage], folder / f"{stage}.weights.h5")
            continue
        for suffix in ("weights.h5", "csv", SIGMAS, "[0-9]*.json"):
            for path in runs.glob(f"{stage}.{suffix}"):
                shutil.copyfile(path, folder / path.name)
    return folder


def _write_history(weights: Weights, stage: str, folder: Path) -> int:
    """Writes legs and curve of a stage as `train` does; the number of steps."""
    entry = weights.manifest["files"][stage]
    origin: dict[str, Any] = {
        k: weights.manifest[k] for k in ("licence", "sources") if k in weights.manifest
    }
    for leg in entry.get("legs", ()):
        step, config = leg["from_step"], {k: v for k, v in leg.items() if k != "from_step"}
        description = {"preset": weights.manifest["preset"], "config": config, "from_step": step}
        description |= origin
        (folder / f"{stage}.{step:06d}.json").write_text(json.dumps(description, indent=1))
    curve = weights.folder / f"{stage}.curve.csv"
    if curve.is_file():
        shutil.copyfile(curve, folder / f"{stage}.csv")
    return int(entry.get("iterations", 0))


def check_fold(folder: Path, stage: str, fold: int | None) -> None:
    """A checkpoint has learned from all cases but those of its fold, and has to continue like that.

    Raises:
        ConfigurationError: the last leg in the folder left out another fold.
    """
    legs = sorted(folder.glob(f"{stage}.[0-9]*.json"))
    if not legs or not (folder / f"{stage}.checkpoint.npz").is_file():
        return
    config = json.loads(legs[-1].read_text(encoding="utf-8"))["config"]
    if "fold" in config and config["fold"] != fold:
        raise ConfigurationError(
            f"holds a run of the {stage} stage that left out {_fold_in_words(config['fold'])}",
            str(folder),
            f"a run that left out {_fold_in_words(fold)}",
            "Give each fold a folder of its own, such as --runs RUNS/fold1.",
        )


def _fold_in_words(fold: int | None) -> str:
    return "no fold" if fold is None else f"fold {fold}"


def save(
    trainer: keras.Model, optimizer: keras.optimizers.Optimizer, folder: Path, step: int
) -> None:
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
    sigmas = getattr(trainer, "sigmas", None)
    if sigmas is not None:
        write_json(folder / f"{stage}.{SIGMAS}", np.asarray(sigmas, float).tolist())
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
