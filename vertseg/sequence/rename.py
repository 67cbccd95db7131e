"""Another numbering of vertebrae that were found: the same places under other names."""

from __future__ import annotations

from collections.abc import Sequence

from vertseg.errors import ConfigurationError
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of, name_of

_T12, _T13 = label_of("T12"), label_of("T13")


def shifted(labels: Sequence[int], by: int, first: int | None = None) -> dict[int, int]:
    """Labels after a shift along the levels: ``by=-1`` makes L1 T12, ``by=1`` makes it L2.

    T13 counts as a level where it is one of the labels.

    Args:
        labels: from the head downwards.
        by: levels to shift down; negative shifts up.
        first: only this label and those below it; all if None.

    Returns:
        Old label -> new label, of all labels.

    Raises:
        ConfigurationError: `first` is absent, or the new labels would be doubled, out of order or
            beyond C1 or L6.
    """
    order = [n for n in ORDER_CRANIAL_TO_CAUDAL if n != _T13 or _T13 in labels]
    start = _place_of(first, labels)
    places = [order.index(label) + (by if n >= start else 0) for n, label in enumerate(labels)]
    if any(not 0 <= place < len(order) for place in places):
        raise _refused(f"{by:+d} leads beyond C1 or L6", "--shift")
    return _checked(labels, [order[place] for place in places], "--shift")


def renamed(labels: Sequence[int], first: int, new: int) -> dict[int, int]:
    """Labels after one of them gets another name and those below follow on.

    So L1 may become T13, with L1 below it, or T13 L1.

    Args:
        labels: from the head downwards.
        first: label to change.
        new: what it becomes.

    Returns:
        Old label -> new label, of all labels.

    Raises:
        ConfigurationError: see `shifted`.
    """
    order = [n for n in ORDER_CRANIAL_TO_CAUDAL if n != _T13]
    start = _place_of(first, labels)
    by = order.index(_usual(new)) - order.index(_usual(first))
    result = []
    for number, label in enumerate(labels):
        if number < start:
            result.append(label)
        elif number == start:
            result.append(new)
        else:
            place = order.index(_usual(label)) + by
            if not 0 <= place < len(order):
                raise _refused(f"{name_of(new)} leads beyond C1 or L6", "--as")
            result.append(order[place])
    return _checked(labels, result, "--as")


def assigned(labels: Sequence[int], new: Sequence[int], where: str) -> dict[int, int]:
    """Labels after each gets the one that another chain has at its place.

    Args:
        labels: from the head downwards.
        new: of the same places.
        where: option, for messages.

    Raises:
        ConfigurationError: see `shifted`.
    """
    return _checked(labels, new, where)


def _usual(label: int) -> int:
    """The level after which others follow on as if there were no T13."""
    return _T12 if label == _T13 else label


def _place_of(first: int | None, labels: Sequence[int]) -> int:
    if first is None:
        return 0
    if first not in labels:
        what = f"there is no {name_of(first)}"
        raise ConfigurationError(what, "--from", ", ".join(map(name_of, labels)))
    return list(labels).index(first)


def _checked(labels: Sequence[int], new: Sequence[int], where: str) -> dict[int, int]:
    places = [ORDER_CRANIAL_TO_CAUDAL.index(label) for label in new]
    pairs = zip(places, places[1:], new, new[1:], strict=False)
    for above, below, upper, lower in pairs:
        if above >= below:
            raise _refused(f"{name_of(lower)} would lie below {name_of(upper)}", where)
    if list(new) == list(labels):
        raise _refused("changes nothing", where)
    return dict(zip(labels, new, strict=True))


def _refused(what: str, where: str) -> ConfigurationError:
    return ConfigurationError(
        what, where, remedy="Give another shift, or another level with --from."
    )
