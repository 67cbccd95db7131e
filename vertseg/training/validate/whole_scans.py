"""Whole scans: how many have all vertebrae named right, and whether the others are flagged."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from vertseg.evaluate.scores import VertebraScore
from vertseg.evaluate.tables import markdown_table
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL

ASKED = frozenset(
    {"level_shift", "no_landmark", "numbering_variant", "spacing", "curvature"}
    | {"gap", "doubled", "missing_at_end"}
)
"""Flags that ask a reader to check the names of vertebrae, and whether some are missing."""


def is_right(scores: Sequence[VertebraScore]) -> bool:
    """Whether every annotated vertebra of a scan is identified.

    What is predicted besides is not an error of names: a scan may show more than was annotated.
    """
    return all(score.identified for score in scores if score.annotated)


def misnamed(scores: Sequence[VertebraScore]) -> list[VertebraScore]:
    """Of one scan's scores, the names that were given to another place.

    That is an annotated name elsewhere, or one that the scan lacks between its first and its last
    annotated vertebra while one of these is missing. A vertebra that is only missing, such as one
    that was left out as cut, has no wrong name.
    """
    order = ORDER_CRANIAL_TO_CAUDAL.index
    annotated = [score for score in scores if score.annotated]
    places = [order(score.label) for score in annotated]
    wrong = [score for score in annotated if score.predicted and not score.identified]
    if all(score.predicted for score in annotated):
        return wrong
    others = [score for score in scores if score.predicted and not score.annotated]
    return wrong + [s for s in others if min(places) < order(s.label) < max(places)]


def whole_scans(scores: Sequence[VertebraScore], flags: Mapping[str, Collection[str]]) -> str:
    """Tables of scans with all names right or not, and of those that bear a flag, and which one.

    Args:
        scores: of any number of scans.
        flags: scan -> codes of its flags that ask for a check.
    """
    cases = sorted({score.case for score in scores if score.annotated})
    right = {case for case in cases if is_right([s for s in scores if s.case == case])}
    asked = {case for case in cases if ASKED & {*flags.get(case, ())}}
    checked = {case for case in cases if flags.get(case)}
    wrong = {*cases} - right
    known = [score for score in scores if score.annotated]

    def sure(score: VertebraScore) -> bool:
        return score.identified or score.case in asked

    wrong_names = [s for case in cases for s in misnamed([s for s in scores if s.case == case])]
    unasked_names = [s for s in wrong_names if s.case not in asked]
    with_wrong = {score.case for score in wrong_names}
    rows = [
        ("all names right", _of(right, cases)),
        ("all names right, or asked", _of(right | asked, cases)),
        ("right ones with a flag that asks for names", _of(right & asked, right)),
        ("right ones with any flag to check", _of(right & checked, right)),
        ("wrong ones without a flag that asks for names", _of(wrong - asked, wrong)),
        ("scans with a wrong name, and no such flag", _of(with_wrong - asked, with_wrong)),
        ("vertebrae named right, or asked", _of([s for s in known if sure(s)], known)),
        ("vertebrae with a wrong name, and not asked", _of(unasked_names, known)),
    ]
    codes = sorted({code for case in cases for code in flags.get(case, ())})
    bear = {code: {case for case in cases if code in flags.get(case, ())} for code in codes}
    by_code = [
        (code, _of(bear[code] & right, right), _of(bear[code] & wrong, wrong)) for code in codes
    ]
    unasked = ", ".join(sorted(wrong - asked))
    parts = [markdown_table(("scans", "share"), rows)]
    parts += [f"Not asked: {unasked}"] if unasked else []
    parts += [markdown_table(("flag to check", "right scans", "wrong scans"), by_code)] * bool(
        codes
    )
    return "\n\n".join(parts)


def read_flags(predictions: Path) -> dict[str, list[str]]:
    """Codes of the flags to check in each report below a folder, by the name scores use."""
    found = {}
    for path in sorted(predictions.rglob("*_report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        flags = [f["code"] for f in report.get("flags", ()) if f["severity"] == "check"]
        found[path.name.removesuffix("_report.json")] = flags
    return found


def _of(some: Collection[object], all_: Collection[object]) -> str:
    share = f" ({100 * len(some) / len(all_):.1f} %)" if all_ else ""
    return f"{len(some)} of {len(all_)}{share}"
