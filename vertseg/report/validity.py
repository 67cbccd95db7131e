"""Whether something read from a file is a report: it may be edited, or another program's."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.report.claims import is_safe_name
from vertseg.report.schema import SCHEMA, Report

_STATUS = ("ok", "no_spine", "failed")
_NUMBERS = (
    *("peak", "margin_nats", "volume_ml", "trabecular_hu"),
    *("anterior_height_mm", "middle_height_mm", "posterior_height_mm"),
)


def is_report(value: Any) -> TypeGuard[Report]:
    """Whether `value` has the schema, and all that the summary and the gallery show of a report."""
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        return False
    try:
        return (
            isinstance(value["case"], str)
            and value["status"] in _STATUS
            and isinstance(value["seconds"], dict)
            and _is_number(value["seconds"].get("total", 0))
            and all(
                name is None or is_safe_name(name) for name in value.get("outputs", {}).values()
            )
            and isinstance(value.get("acquisition", {}), dict)
            and all(_is_vertebra(row) for row in value["vertebrae"])
            and all(_is_flag(flag) for flag in value["flags"])
            and all(_is_angle(angle) for angle in value.get("angles", []))
            and _is_error(value.get("error"))
        )
    except (KeyError, TypeError, AttributeError, OverflowError):
        return False


def _is_vertebra(row: dict[str, Any]) -> bool:
    centroid = row["centroid_lps_mm"]
    return (
        row["label"] in ORDER_CRANIAL_TO_CAUDAL
        and isinstance(row["name"], str)
        and all(row[name] is None or _is_number(row[name]) for name in _NUMBERS)
        and len(centroid) == 3
        and all(map(_is_number, centroid))
        and all(_is_corner(row.get(name)) for name in ("box_first", "box_last"))
        and all(isinstance(part, dict) for part in (row.get("parts") or {}).values())
    )


def _is_corner(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_number, value)))


def _is_flag(flag: dict[str, Any]) -> bool:
    texts = (flag["code"], flag["severity"], flag["sentence"], *flag["vertebrae"])
    return all(isinstance(text, str) for text in texts)


def _is_angle(angle: dict[str, Any]) -> bool:
    texts = (angle["name"], angle["upper"], angle["lower"])
    return all(isinstance(text, str) for text in texts) and _is_number(angle["degrees"])


def _is_error(error: Any) -> bool:
    names = ("what", "expected", "remedy")
    return error is None or all(isinstance(error[name], str) for name in names)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
