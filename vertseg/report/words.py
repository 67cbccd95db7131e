"""Short texts made from a report."""

from __future__ import annotations

from collections.abc import Sequence

from vertseg.errors import printable
from vertseg.report.schema import Report

_DOUBT_LEVELS = ("level_shift", "no_landmark")


def levels_in_words(report: Report) -> str:
    """First and last vertebra, ``"T1–L5"``; ``"T1–L5?"`` where they may be others; or empty."""
    names = [row["name"] for row in report["vertebrae"]]
    doubt = "?" if any(flag["code"] in _DOUBT_LEVELS for flag in report["flags"]) else ""
    return "–".join(dict.fromkeys((names[0], names[-1]))) + doubt if names else ""


def found_in_words(report: Report) -> str:
    """Such as ``"17 vertebrae, T1–L5"``."""
    count = len(report["vertebrae"])
    if not count:
        return "No spine found" if report["status"] == "no_spine" else "Spine found"
    return f"{count} {'vertebra' if count == 1 else 'vertebrae'}, {levels_in_words(report)}"


def count_flags(report: Report) -> tuple[int, int]:
    """How many flags are to be checked, and how many are notes."""
    severities = [flag["severity"] for flag in report["flags"]]
    checks = severities.count("check")
    return checks, len(severities) - checks


def flagged_in_words(report: Report) -> str:
    """Such as ``"2 to check, 1 note"``; empty where nothing was flagged."""
    checks, notes = count_flags(report)
    parts = [f"{checks} to check"] * bool(checks)
    parts += [f"{notes} note{'s' if notes > 1 else ''}"] * bool(notes)
    return ", ".join(parts)


def angles_in_words(report: Report) -> str:
    """Such as ``"lumbar lordosis L1–L5 38°, largest coronal angle T4–T9 6°"``."""
    return ", ".join(
        f"{angle['name']} {angle['upper']}–{angle['lower']} {angle['degrees']:.0f}°"
        for angle in report.get("angles", [])
    )


def failure_in_words(report: Report) -> str:
    """What went wrong and what to do; empty where nothing did."""
    error = report.get("error")
    if not error:
        return ""
    text = error["what"] + (f" (expected {error['expected']})" if error["expected"] else "")
    return f"{text}. {error['remedy']}".strip() if error["remedy"] else f"{text}."


def case_in_words(report: Report) -> str:
    """One line for a log."""
    parts = [found_in_words(report), flagged_in_words(report)]
    return "; ".join([*filter(None, parts), f"{report['seconds'].get('total', 0):.1f} s"])


LeftOut = tuple[str, str]
"""Name of a file of the input, and in a few words why it is not a scan."""

_MOST_NAMES = 8


def left_out_in_words(files: Sequence[LeftOut]) -> list[str]:
    """A line for each reason why files are left out, with the names of the first ones."""
    reasons: dict[str, list[str]] = {}
    for name, reason in files:
        reasons.setdefault(reason, []).append(printable(name))
    return [
        f"{len(names)} file{'s' * (len(names) > 1)} left out, {reason}: "
        + ", ".join(names[:_MOST_NAMES])
        + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")
        for reason, names in reasons.items()
    ]
