"""Sentences about a chain of vertebrae."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vertseg.labels import name_of
from vertseg.sequence.evidence import LABELS
from vertseg.sequence.links import Link

UPSIDE_DOWN = (
    "the vertebrae would fit about as well upside down: is it a spine, and stored correctly?"
)


def unusual_links(links: Sequence[Link]) -> list[str]:
    """In words, the gaps and numbering variants of a chain."""
    sentences = []
    for link in links:
        upper, lower = name_of(link.upper), name_of(link.lower)
        if link.skipped:
            missing = ", ".join(name_of(label) for label in link.skipped)
            sentences.append(f"{missing} not detected between {upper} and {lower}")
        elif link.is_variant:
            sentences.append(f"numbering variant: {lower} follows {upper}")
    return sentences


def difference(chosen: Mapping[int, int], other: Mapping[int, int]) -> str:
    """In words, which places (place -> label) another chain labels otherwise; empty if none."""
    both = [(label, other[place]) for place, label in chosen.items() if place in other]
    changed = [(label, rival) for label, rival in both if label != rival]
    if not changed:
        return ""
    ours, theirs = (_span([pair[side] for pair in changed]) for side in (0, 1))
    shifts = {LABELS.index(rival) - LABELS.index(label) for label, rival in changed}
    whole = "the whole chain: " if len(changed) == len(chosen) > 1 else ""
    direction = ""
    if len(shifts) == 1:
        shift = shifts.pop()
        levels = "one level" if abs(shift) == 1 else f"{abs(shift)} levels"
        direction = f", {levels} {'lower' if shift > 0 else 'higher'}"
    return f"{whole}{ours} may be {theirs}{direction}"


def _span(labels: Sequence[int]) -> str:
    """Names of the first and last of some labels."""
    first, last = name_of(labels[0]), name_of(labels[-1])
    return first if len(labels) == 1 else f"{first}–{last}"
