"""Scores of single cases in files, so that a stopped cross-validation continues where it was."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vertseg.evaluate.scores import VertebraScore
from vertseg.system.atomic import write_json
from vertseg.training.validate.stage_scores import CaseScores, SpineScore


def save_scores(path: Path, scores: CaseScores | None, weights: str) -> None:
    """Writes the scores of a case, or that it has none; raises OutputError.

    Args:
        path: JSON file.
        scores: of the case.
        weights: what tells the weights, such as their hash.
    """
    payload = None if scores is None else _plain(asdict(scores))
    write_json(path, {"weights": weights, "scores": payload})


def saved_scores(path: Path, weights: str) -> list[CaseScores] | None:
    """The scores of a case, empty where it has none; None if they are not those of `weights`."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if kept.get("weights") != weights:
        return None
    if kept["scores"] is None:
        return []
    values = _with_nan(kept["scores"])
    rows = tuple(VertebraScore(**row) for row in values["vertebrae"])
    return [CaseScores(SpineScore(**values["spine"]), rows)]


def _plain(value: Any) -> Any:
    """NaN as None, at every depth."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value
