"""The letters of anatomical directions, and their opposites.

A letter names where an axis runs *to*: Left, Right, Anterior, Posterior, Superior, Inferior.
"""

from __future__ import annotations

from collections.abc import Iterable

PAIRS = (("R", "L"), ("A", "P"), ("I", "S"))
"""For x, y and z in LPS: the letter of the lower and of the upper end."""

LETTERS = "LRAPSI"

OPPOSITE = {a: b for low, high in PAIRS for a, b in ((low, high), (high, low))}


def opposite(letters: Iterable[str]) -> str:
    """The directions that axes come from, or the other way round.

    >>> opposite("LPS")
    'RAI'
    """
    return "".join(OPPOSITE[letter] for letter in letters)


def in_order(letters: Iterable[str]) -> str:
    """Each letter once, in the order of `LETTERS`.

    >>> in_order("IRI")
    'RI'
    """
    found = set(letters)
    return "".join(letter for letter in LETTERS if letter in found)
