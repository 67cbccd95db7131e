"""The curve of a training run: one CSV file per stage, and TensorBoard's files on request."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vertseg.errors import ConfigurationError, InputError

COLUMNS = ("step", "loss", "rate", "samples_per_s", "waited")
"""Of ``STAGE.csv``: the loss is the mean since the last row; ``waited`` is the share of time spent
waiting for data since the leg began."""


class Curve:
    """Appends rows to ``STAGE.csv`` and ``STAGE.validation.csv`` in a folder.

    Args:
        folder: of the run.
        stage: whose curve it is.
        tensorboard: whether to write ``tensorboard/STAGE`` as well.

    Raises:
        ConfigurationError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, stage: str, tensorboard: bool = False) -> None:
        self._folder, self._stage = folder, stage
        self._writer = _writer(folder / "tensorboard" / stage) if tensorboard else None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """A row of the training curve, in the order of `COLUMNS`."""
        self._append("", step, values)

    def add_validation(self, step: int, loss: float) -> None:
        """The loss on samples that training never sees."""
        self._append(".validation", step, {"validation_loss": loss})

    def close(self) -> None:
        """Writes what is left."""
        if self._writer is not None:
            self._writer.close()

    def _append(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        with (self._folder / f"{self._stage}{kind}.csv").open("a", newline="") as file:
            csv.writer(file).writerow([f"{v:.6g}" for v in (step, *values.values())])
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()


def tail(folder: Path, stage: str, rows: int = 10) -> str:
    """The last rows of a curve as a table, and the last losses on validation samples.

    Raises:
        InputError: there is no such curve.
    """
    path = folder / f"{stage}.csv"
    if not path.is_file():
        raise InputError("there is no curve", str(path), remedy="Train the stage first.")
    lines = [_line(COLUMNS), *map(_line, _read(path)[-rows:])]
    checks = folder / f"{stage}.validation.csv"
    if checks.is_file():
        lines += ["", _line(("step", "validation")), *map(_line, _read(checks)[-rows:])]
    return "\n".join(lines)


def _read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return [row for row in csv.reader(file) if row]


def _line(cells: Sequence[str]) -> str:
    return "".join(f"{cell:>14}" for cell in cells)


def _writer(folder: Path) -> Any:
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise ConfigurationError(
            "TensorBoard is not installed",
            "--tensorboard",
            remedy="Install it with: pip install tensorboard.",
        ) from error
    return Writer(str(folder))
