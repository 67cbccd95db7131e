"""The table of each stage fed with the truth, over a data set, with one set of weights or folds.

Source: Payer et al., VISAPP 2020, section 4 and table 1. The figures of the whole chain are what
``python -m vertseg.evaluate`` prints.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from vertseg.errors import ConfigurationError, InputError, NoInputError
from vertseg.stages.device import DeviceInfo
from vertseg.stages.weights import MANIFEST
from vertseg.training.data.checks import check_case
from vertseg.training.data.dataset import DataCase, read_case
from vertseg.training.validate.stage_scores import CaseScores, Networks, score_stages

log = logging.getLogger(__name__)


def group_by_weights(
    cases: Sequence[DataCase], weights: Path | None, folds: Mapping[str, int] | None
) -> dict[Path | None, list[DataCase]]:
    """Which weights score which cases.

    Args:
        cases: to be scored.
        weights: a folder of weights, or one with the folders ``fold0``, ``fold1`` ..., each made
            without the cases of its fold; None for the bundled weights.
        folds: case -> fold.

    Raises:
        ConfigurationError: weights of a fold, or the folds themselves, are missing.
        NoInputError: no case belongs to a fold.
    """
    if weights is None or (weights / MANIFEST).is_file():
        return {weights: list(cases)}
    if folds is None:
        raise ConfigurationError(
            f"holds no {MANIFEST}",
            str(weights),
            "a folder of weights, or --pool with the folds and a folder for each of them",
        )
    groups: dict[Path | None, list[DataCase]] = {}
    for case in cases:
        if case.name not in folds:
            log.warning("%s belongs to no fold: left out", case.name)
            continue
        groups.setdefault(weights / f"fold{folds[case.name]}", []).append(case)
    absent = [str(folder) for folder in groups if folder and not (folder / MANIFEST).is_file()]
    if absent:
        raise ConfigurationError("weights are missing", ", ".join(absent), "one folder per fold")
    if not groups:
        raise NoInputError("no case belongs to a fold of the pool", str(weights))
    return groups


def crossvalidate(
    groups: Mapping[Path | None, Sequence[DataCase]], device: DeviceInfo, published: bool = False
) -> list[CaseScores]:
    """Scores of all cases that can be used; the others are named in the log.

    Args:
        groups: folder of weights -> the cases that they score.
        device: where the networks run.
        published: whether the stages work as `vertseg.stages.published` says.

    Raises:
        ConfigurationError: weights or device cannot be used.
        NoInputError: no case could be scored.
    """
    scores: list[CaseScores] = []
    with tqdm(total=sum(map(len, groups.values())), unit="scan", disable=None) as bar:
        for folder, cases in groups.items():
            networks = Networks.load(folder, device)
            for case in cases:
                scores += score_data_case(case, networks, published)
                bar.update()
    if not scores:
        remedy = "Scans with points are needed."
        raise NoInputError("no case could be scored", "crossvalidate", "", remedy)
    return scores


def score_data_case(case: DataCase, networks: Networks, published: bool) -> list[CaseScores]:
    """The scores of a case; none, and a warning with the reason, if it cannot be used."""
    try:
        data = read_case(case)
        problems = check_case(data).problems
        if not problems:
            return [score_stages(data, networks, published=published)]
    except InputError as error:
        problems = (str(error),)
    log.warning("%s: left out: %s", case.name, "; ".join(problems))
    return []
