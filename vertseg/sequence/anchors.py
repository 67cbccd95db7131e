"""What the levels of a chain can be counted from, and how sure that makes them."""

from __future__ import annotations

from collections.abc import Collection

from vertseg.labels import label_of, region_of
from vertseg.sequence.config import SequenceConfig

_SURE = frozenset(label_of(name) for name in ("C1", "C2", "T1", "L5", "L6"))
"""With these, dens, first rib or sacrum are in view."""


def shows_landmark(labels: Collection[int]) -> bool:
    """Whether a chain of labels holds something to count from.

    That is C1 or C2 (the dens), T1 (the first rib), a thoracic above a lumbar vertebra (the last
    rib), or L5 or L6 (the sacrum).
    """
    regions = {region_of(label) for label in labels}
    return bool(_SURE & {*labels}) or {"thoracic", "lumbar"} <= regions


def sure_margin(labels: Collection[int], config: SequenceConfig | None = None) -> float:
    """Smallest margin in nats at which the levels of a chain are taken as sure.

    The last rib alone is a weaker landmark than dens, first rib and sacrum: it may be a stub, or so
    long that it is taken for the one above.

    Args:
        labels: of the reported vertebrae.
        config: tunables.
    """
    config = config or SequenceConfig()
    return config.shift_margin if _SURE & {*labels} else config.last_rib_shift_margin
