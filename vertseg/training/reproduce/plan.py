"""What is to be done, and where everything lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from models import Preset, StageConfig
from models.published import PublishedMethod
from vertseg.errors import ConfigurationError, NoInputError
from vertseg.stages import Stage

_TEST = re.compile(r"(?:validation|test)[-_ ]?\d*$", re.IGNORECASE)
"""Names of folders with test sets: VerSe'19 calls its first one validation."""

FOLDS = 3


@dataclass(frozen=True)
class Plan:
    """A reproduction.

    Attributes:
        data: folder with the VerSe download.
        work: folder for everything that is made.
        preset: trained as published.
        scale: share of the published steps that are done; below 1 for a rehearsal.
        tests: folders with test sets; those of `data` with such names if empty.
        augmentation: strength of the augmentation, 1 as published.
        device, precision, threads, workers: how it is computed, see ``train`` and ``predict.py``.
    """

    data: Path
    work: Path
    preset: Preset
    scale: float = 1.0
    tests: tuple[Path, ...] = ()
    augmentation: float = 1.0
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be done.

        Raises:
            ConfigurationError: the preset is not trained as published, or the scale is not
                positive.
        """
        if not self.preset.is_published:
            where = f"preset {self.preset.name}"
            raise ConfigurationError("is not trained as published", where, "paper, or one like it")
        if self.scale <= 0:
            raise ConfigurationError(f"cannot be {self.scale:g}", "--scale", "above 0")

    @property
    def inference_precision(self) -> str:
        """Of predictions, which are published ones: float32 unless asked otherwise."""
        return "float32" if self.precision == "auto" else self.precision

    @property
    def pool(self) -> Path:
        """Prepared cases."""
        return self.work / "pool"

    @property
    def tables(self) -> Path:
        """What is printed, as files."""
        return self.work / "tables"

    def runs(self, fold: int | None) -> Path:
        """Checkpoints of the training without a fold, or with all cases."""
        return self.work / "runs" / _name(fold)

    def weights(self, fold: int | None) -> Path:
        """Exported weights of that training."""
        return self.work / "weights" / _name(fold)

    def scores(self, fold: int) -> Path:
        """Scores of the cases of a fold, one file per case."""
        return self.work / "scores" / _name(fold)

    def config(self, stage: Stage) -> StageConfig:
        """The preset's stage."""
        config: StageConfig = getattr(self.preset, stage)
        return config

    def method(self, stage: Stage) -> PublishedMethod:
        """How a stage is trained."""
        method = self.config(stage).published
        assert method is not None  # see `__post_init__`
        return method

    def steps(self, stage: Stage) -> int:
        """How many steps a stage is trained for."""
        return max(1, round(self.scale * self.method(stage).steps))

    def test_sets(self) -> dict[str, Path]:
        """Name -> folder of each test set."""
        folders = self.tests or tuple(f for f in _folders(self.data) if _TEST.search(f.name))
        return {folder.name: folder for folder in folders}

    def training_folders(self) -> list[Path]:
        """Folders whose cases are trained on: all that are not test sets.

        Raises:
            NoInputError: there is none.
        """
        tests = {folder.resolve() for folder in self.test_sets().values()}
        if not any(folder.resolve() in tests for folder in _folders(self.data)):
            return [self.data]
        found = [folder for folder in _folders(self.data) if folder.resolve() not in tests]
        if not found:
            remedy = "Put the training set beside the test sets, or name the test sets with --test."
            raise NoInputError("holds test sets alone", str(self.data), remedy=remedy)
        return found


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise NoInputError("does not exist", str(folder), remedy="Check the path.")
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def _name(fold: int | None) -> str:
    return "all" if fold is None else f"fold{fold}"
