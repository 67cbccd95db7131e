"""One of several shares of a run, so that many machines can work on one folder.

Shares are taken round robin from the sorted scans, and every machine sorts them alike; so nothing
has to be agreed on but the number of the share and of shares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vertseg.errors import ConfigurationError

_Item = TypeVar("_Item")

_OPTION = "--shard"
_EXPECTED = "K/N with K from 1 to N, auto/N or auto"
_SLURM = "SLURM_ARRAY_TASK"
_KUBERNETES = "JOB_COMPLETION_INDEX"


@dataclass(frozen=True)
class Shard:
    """A share of the scans.

    Attributes:
        number: which one, from 1.
        count: how many there are.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigurationError(f"there is no shard {self}", _OPTION, _EXPECTED)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def summary(self) -> str:
        """Name of the summary that only this shard writes."""
        return f"summary.shard-{self.number}-of-{self.count}.csv"

    def of(self, items: Sequence[_Item]) -> tuple[_Item, ...]:
        """This share of some items, which every shard must have in the same order."""
        return tuple(items[self.number - 1 :: self.count])


SHARD_SUMMARIES = "summary.shard-*-of-*.csv"
"""Pattern of the names of all shards' summaries."""


def parse_shard(text: str, environment: Mapping[str, str]) -> Shard:
    """The shard that ``--shard`` asks for.

    Args:
        text: ``K/N``; ``auto/N`` takes K from a Slurm array or an Indexed Job of Kubernetes;
            ``auto`` takes both from a Slurm array.
        environment: of the process.

    Raises:
        ConfigurationError: not of this form, or the environment does not say which.
    """
    found = re.fullmatch(r"(\d+|auto)/(\d+)|auto", text)
    if found is None:
        raise ConfigurationError(f"cannot be {text!r}", _OPTION, _EXPECTED)
    if found[1] and found[1] != "auto":
        return Shard(int(found[1]), int(found[2]))
    slurm = shard_of_slurm(environment)
    if found[2] is None:
        if slurm is None:
            remedy = "Kubernetes does not say how many shards there are: give auto/N."
            raise ConfigurationError("is auto, but not in a Slurm array", _OPTION, remedy=remedy)
        return slurm
    count = int(found[2])
    if slurm is not None:
        if slurm.count != count:
            what = f"is of {count}, but the Slurm array has {slurm.count} tasks"
            raise ConfigurationError(what, _OPTION, remedy="Give auto, or K/N.")
        return slurm
    return Shard(_number(environment, _KUBERNETES) + 1, count)


def shard_of_slurm(environment: Mapping[str, str]) -> Shard | None:
    """The place of this task in its Slurm array, whatever its numbers; None outside an array.

    Raises:
        ConfigurationError: the numbers of the tasks are not at even distances.
    """
    if f"{_SLURM}_ID" not in environment or f"{_SLURM}_COUNT" not in environment:
        return None
    task, count = _number(environment, f"{_SLURM}_ID"), _number(environment, f"{_SLURM}_COUNT")
    first, last = _number(environment, f"{_SLURM}_MIN"), _number(environment, f"{_SLURM}_MAX")
    if count == 1:
        return Shard(1, 1)
    step, uneven = divmod(last - first, count - 1)
    place, between = divmod(task - first, max(step, 1))
    if uneven or between:
        what = f"task {task} is one of {count} from {first} to {last} at uneven distances"
        raise ConfigurationError(what, f"{_SLURM}_ID", remedy="Give the shard with --shard K/N.")
    return Shard(place + 1, count)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not re.fullmatch(r"\d+", text):
        what = f"is {text!r}" if text else "is not set"
        raise ConfigurationError(what, name, "a number", "Give the shard with --shard K/N.")
    return int(text)
