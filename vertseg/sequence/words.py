"""Sentences about a chain of vertebrae."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from vertseg.labels import label_of, name_of
from vertseg.sequence.evidence import LABELS
from vertseg.sequence.graph import RARE
from vertseg.sequence.links import Link

UPSIDE_DOWN = (
    "the vertebrae would fit about as well upside down: is it a spine, and stored correctly?"
)

ABSENT = {
    (label_of(upper), label_of(lower)): label_of(absent)
    for upper, lower, absent in (("C6", "T1", "C7"), ("T11", "L1", "T12"))
}
"""Neighbours that follow each other in few people -> the level that these lack."""


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


def difference(
    chosen: Mapping[int, int], other: Mapping[int, int], is_variant: bool = False
) -> str:
    """In words, which places (place -> label) another chain labels otherwise; empty if none.

    Args:
        chosen: place -> label of the chain.
        other: the same of the other chain.
        is_variant: whether that one has a numbering variant; a level that is absent is then named.
    """
    both = [(label, other[place]) for place, label in chosen.items() if place in other]
    changed = [(label, rival) for label, rival in both if label != rival]
    if not changed:
        return ""
    ours, theirs = (_span([pair[side] for pair in changed]) for side in (0, 1))
    shifts = {_levels_between(label, rival) for label, rival in changed}
    whole = "the whole chain: " if len(changed) == len(chosen) > 1 else ""
    direction = ""
    if len(shifts) == 1:
        shift = shifts.pop()
        levels = "one level" if abs(shift) == 1 else f"{abs(shift)} levels"
        direction = f", {levels} {'lower' if shift > 0 else 'higher'}"
    explained = not is_variant or {*RARE} & {*other.values()}
    absent = () if explained else _absent_levels({*other.values()})
    without = "".join(f", with {name_of(label)} absent" for label in absent)
    return f"{whole}{ours} may be {theirs}{direction}{without}"


def _levels_between(label: int, rival: int) -> int:
    """How many levels `rival` lies below `label`; T13 and L6 count where they are one of both."""
    first, last = sorted((LABELS.index(label), LABELS.index(rival)))
    count = last - first - len({*RARE} & {*LABELS[first + 1 : last]})
    return count if LABELS.index(rival) == last else -count


def _absent_levels(labels: Collection[int]) -> list[int]:
    """Which of C7 and T12 a chain lacks between its neighbours."""
    return [
        absent
        for neighbours, absent in ABSENT.items()
        if absent not in labels and {*neighbours} <= {*labels}
    ]


def _span(labels: Sequence[int]) -> str:
    """Names of the first and last of some labels."""
    first, last = name_of(labels[0]), name_of(labels[-1])
    return first if len(labels) == 1 else f"{first}–{last}"
