"""Trainings that go on from exported weights, say the bundled ones, not from random ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from vertseg.errors import ConfigurationError
from vertseg.network import load_network
from vertseg.weights import STAGES, Weights

if TYPE_CHECKING:
    from vertseg.training.trainer import StageTrainer


def start_from(weights: Weights, trainer: StageTrainer, folder: Path) -> int:
    """Gives a stage's network trained weights, and its run the history that they have.

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
    try:
        trainer.network.set_weights(values)
    except ValueError as error:
        raise ConfigurationError(
            f"cannot start from {weights.folder}: its {stage} network is another one",
            where=str(error),
            expected=f"the network of the preset {weights.preset.name}",
            remedy="Leave --preset out, or train from random weights.",
        ) from error
    return _write_history(weights, stage, folder)


def untrained(runs: Path) -> list[str]:
    """Stages without weights in a folder of training runs."""
    return [stage for stage in STAGES if not (runs / f"{stage}.weights.h5").is_file()]


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
    for stage in STAGES:
        if stage in absent:
            _write_history(weights, stage, folder)
            shutil.copyfile(weights.files[stage], folder / f"{stage}.weights.h5")
            continue
        for suffix in ("weights.h5", "csv", "[0-9]*.json"):
            for path in runs.glob(f"{stage}.{suffix}"):
                shutil.copyfile(path, folder / path.name)
    return folder


def _write_history(weights: Weights, stage: str, folder: Path) -> int:
    """Writes legs and curve of a stage as `train` does; the number of steps."""
    entry = weights.manifest["files"][stage]
    for leg in entry.get("legs", ()):
        step, config = leg["from_step"], {k: v for k, v in leg.items() if k != "from_step"}
        description = {"preset": weights.manifest["preset"], "config": config, "from_step": step}
        (folder / f"{stage}.{step:06d}.json").write_text(json.dumps(description, indent=1))
    curve = weights.folder / f"{stage}.curve.csv"
    if curve.is_file():
        shutil.copyfile(curve, folder / f"{stage}.csv")
    return int(entry.get("iterations", 0))
