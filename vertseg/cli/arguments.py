"""What the words of single options mean: types and actions for argparse."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from vertseg.batch.shards import Shard, parse_shard
from vertseg.errors import ConfigurationError
from vertseg.stages import Stages, parse_stages


class Patterns(argparse.Action):
    """Collects patterns: one as it is, several as a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Add what one option gives to what those before it gave."""
        before = getattr(namespace, self.dest)
        several = before if isinstance(before, tuple) else (before,) if before else ()
        setattr(namespace, self.dest, (*several, values) if several else values)


def listed(text: str) -> list[Path]:
    """Paths from a file; empty lines and lines that begin with # are skipped."""
    file = Path(text)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise argparse.ArgumentTypeError(f"{file} cannot be read as text: {error}") from error
    names = [line.strip() for line in lines]
    found = [file.parent / name for name in names if name and not name.startswith("#")]
    if not found:
        raise argparse.ArgumentTypeError(f"{file} holds no path")
    return found


def natural(text: str) -> int:
    """A whole number from 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def shard(text: str) -> Shard:
    """``K/N``, see `vertseg.batch.shards.parse_shard`."""
    try:
        return parse_shard(text, os.environ)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def stages(text: str) -> Stages:
    """Names of stages, see `vertseg.stages.parse_stages`."""
    try:
        return parse_stages(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def gpus(text: str) -> int:
    """A number of GPUs; 0 for ``all``."""
    return 0 if text == "all" else positive(text)
