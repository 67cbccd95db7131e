"""Validation of weights by the whole chain, on three sets that trained nothing.

``factory``: synthetic scans along spine courses of patients who are kept out of training.
``real``: the scans that are held out (`real.HELD_OUT`). ``chest``: the chest CT of
`vertseg.sample`. Predictions come from ``predict.py`` and scores from `vertseg.evaluate`, as for
any other data.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vertseg import cli
from vertseg.errors import ConfigurationError
from vertseg.evaluate import evaluate
from vertseg.evaluation import VertebraScore, average
from vertseg.sample import SampleError, fetch_chest_ct
from vertseg.score_tables import as_markdown
from vertseg.training.cases import MARKS, write_cases
from vertseg.training.real import HELD_OUT

log = logging.getLogger(__name__)

MARGINS = (0.0, 2.0, 4.0, 8.0, 16.0)
"""Margins in nats from which on the share of shifted cases is given."""


def validate(data: Path, work: Path, weights: Path | None = None, count: int = 60) -> str:
    """Tables in Markdown of all three sets; a set that cannot be had is named as missing.

    Args:
        data: folder with ``atlas/``, ``ct/`` and the centroid tables.
        work: folder for scans and predictions; what is there already is used again.
        weights: folder of weights; the bundled ones if None.
        count: number of factory cases.

    Raises:
        ConfigurationError: the program did not run.
    """
    write_cases(data, work / "factory", count)
    _link_held_out(data, work / "real")
    sets = ["factory", "real"]
    try:
        fetch_chest_ct(work / "chest")
        sets.append("chest")
    except SampleError as error:
        log.warning("without the chest CT: %s", error)
    marks = json.loads((work / "factory" / MARKS).read_text(encoding="utf-8"))
    parts = []
    for name in sets:
        scores = _scores(work / name, work / "predictions" / name, weights)
        parts += [f"## {name}", as_markdown(average(scores), scores)]
        if name == "factory":
            parts += [_by_mark(scores, marks)]
        parts += [_by_margin(scores, _margins(work / "predictions" / name))]
    return "\n\n".join(parts)


def _link_held_out(data: Path, folder: Path) -> None:
    """The held-out scans and their truth, as links."""
    for source in sorted(data.glob("ct/*/sub-*")):
        if source.name.removeprefix("sub-") in HELD_OUT:
            link = folder / source.parent.name / source.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(source.resolve())


def _scores(folder: Path, predictions: Path, weights: Path | None) -> list[VertebraScore]:
    """Runs the program on the scans of `folder` and scores what it wrote."""
    chosen = [] if weights is None else ["--weights", str(weights)]
    code = cli.main(["--input", str(folder / "rawdata"), "--output", str(predictions), *chosen])
    if code == 1:
        raise ConfigurationError("the program did not run", where=str(folder))
    return evaluate(folder, predictions, count_missing=True)[0]


def _margins(predictions: Path) -> dict[str, float]:
    """Margin of each case from its report, by the name that the scores use."""
    margins = {}
    for path in sorted(predictions.rglob("*_report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        margin = report.get("sequence", {}).get("margin_nats")
        margins[path.name.removesuffix("_report.json")] = np.inf if margin is None else margin
    return margins


def _by_mark(scores: list[VertebraScore], marks: dict[str, list[str]]) -> str:
    """Identification by what a case shows and by what is hard about it."""
    every = sorted({mark for own in marks.values() for mark in own})
    rows = [(mark, [s for s in scores if mark in marks[_subject(s.case)]]) for mark in every]
    rows.append(("nothing hard", [s for s in scores if len(marks[_subject(s.case)]) == 1]))
    return _table(("mark", "cases", "identified %"), (_row(name, own) for name, own in rows if own))


def _row(name: str, scores: list[VertebraScore]) -> tuple[str, str, str]:
    hits = [s.identified for s in scores if s.annotated]
    cases = len({s.case for s in scores})
    return name, str(cases), f"{100 * np.mean(hits):.1f}" if hits else "-"


def _by_margin(scores: list[VertebraScore], margins: dict[str, float]) -> str:
    """Of the cases from each margin on, how many are shifted: mostly misnamed, though found."""
    cases = {s.case for s in scores if s.annotated}
    shifted = {case for case in cases if _is_shifted([s for s in scores if s.case == case])}
    rows = []
    for threshold in MARGINS:
        sure = {case for case in cases if margins.get(case, -np.inf) >= threshold}
        rows.append((f">= {threshold:g}", str(len(sure)), str(len(sure & shifted))))
    return _table(("margin, nats", "cases", "of them shifted"), rows)


def _is_shifted(scores: Iterable[VertebraScore]) -> bool:
    """Whether at least half of what was predicted bears a wrong name."""
    right = [s.identified for s in scores if s.predicted]
    return bool(right) and float(np.mean(right)) <= 0.5


def _subject(case: str) -> str:
    return case.split("_")[0]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines: list[tuple[str, ...]] = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
