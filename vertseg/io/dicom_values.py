"""Values of DICOM elements that may hold anything, or nothing."""

from __future__ import annotations

import math
from typing import Any


def value_of(dataset: Any, keyword: str) -> Any:
    """Value of an element; None where it is absent or cannot be understood."""
    try:
        return dataset.get(keyword)
    except Exception:  # pydicom converts when it is asked, and a damaged value raises anything
        return None


def text_of(dataset: Any, keyword: str) -> str:
    """Text of an element, its character set decoded; several values are joined by backslashes."""
    value = value_of(dataset, keyword)
    if value is None:
        return ""
    several = value if type(value).__name__ == "MultiValue" else [value]
    return "\\".join(str(part) for part in several).strip(" \0")


def plain_text(value: Any) -> str:
    """Text of a value as it is stored, for identities, dates and the like, which are ASCII."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")


def ascii_of(dataset: Any, keyword: str) -> str:
    """Text of an element as stored, for one whose value may be no valid date or number."""
    from pydicom.datadict import tag_for_keyword

    item = dataset.get_item(tag_for_keyword(keyword))
    return plain_text(None if item is None else item.value)


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, from text, bytes or numbers; None where there are no such."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        value = value.strip(" \0").split("\\")
    elif value is None or not hasattr(value, "__iter__"):
        value = [value]
    try:
        found = tuple(float(part) for part in value)
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None
