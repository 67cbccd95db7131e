"""Reports travel: they name files as seen from the input folder, never the folders of a machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from vertseg.report.schema import Report

_ABSOLUTE = re.compile(r"(?<![\w./~-])/(?:[^\s/:'\"()]+/)+")
_TEXTS = ("error", "warnings", "failed_outputs")


def without_host_paths(report: Report, roots: Iterable[Path]) -> Report:
    """A report whose sentences name files from `roots` on, and others by their names alone.

    Args:
        report: of a case.
        roots: folders that the user has given, such as that of the input.
    """
    known = {str(path) for root in roots for path in (root, root.absolute(), _resolved(root))}
    ordered = sorted(known - {".", "/", ""}, key=len, reverse=True)
    texts = {name: _cleaned(value, ordered) for name, value in report.items() if name in _TEXTS}
    return cast(Report, {**report, **texts})


def _cleaned(value: Any, roots: list[str]) -> Any:
    if isinstance(value, dict):
        return {name: _cleaned(part, roots) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(part, roots) for part in value]
    if not isinstance(value, str):
        return value
    for root in roots:
        value = value.replace(f"{root}/", "")
        value = re.sub(rf"{re.escape(root)}(?![\w.-])", Path(root).name, value)
    return _ABSOLUTE.sub("…/", value)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path
