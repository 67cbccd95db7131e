"""Text in tables that people open with a spreadsheet program."""

from __future__ import annotations

from typing import Any

_FORMULA_STARTS = ("=", "+", "-", "@", "\t")


def as_cell(value: Any) -> Any:
    """A value for CSV; text that a spreadsheet would take for a formula begins with an apostrophe.

    >>> as_cell("=HYPERLINK(1)"), as_cell("L1"), as_cell(-3.5)
    ("'=HYPERLINK(1)", 'L1', -3.5)
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r", "\\r")  # which ends a row in some programs
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
