"""Centroids as 3D Slicer Markups, ``.mrk.json``: points in the world, named as the vertebrae.

They need no grid, and Slicer shows them as points that can be dragged. The layout is that of
Slicer's own schema, version 1.0.3; both of its coordinate systems are read, LPS is written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from vertseg.errors import InputError
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import PointLps
from vertseg.labels import label_of
from vertseg.system.atomic import PathLike, write_json

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)
_SIGNS = {"LPS": (1.0, 1.0), "1": (1.0, 1.0), "RAS": (-1.0, -1.0), "0": (-1.0, -1.0)}
_DECIMALS = 3
_REMEDY = "Save the points again in 3D Slicer, as Markups JSON (.mrk.json)."


def is_markups(payload: Any) -> bool:
    """Whether a decoded JSON file is meant as 3D Slicer Markups."""
    return isinstance(payload, dict) and "markups" in payload


def markups_to_json(centroids: Iterable[Centroid]) -> dict[str, Any]:
    """Centroids as one list of points, in LPS mm.

    Args:
        centroids: in the order in which Slicer lists them.
    """
    points = [
        {
            "id": str(number),
            "label": centroid.name,
            "position": [round(float(value), _DECIMALS) + 0.0 for value in centroid.point_lps_mm],
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, centroid in enumerate(centroids, start=1)
    ]
    node = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": points,
    }
    return {"@schema": _SCHEMA, "markups": [node]}


def markups_from_json(payload: Any, where: str = "") -> list[Centroid]:
    """Centroids from the points of a decoded file.

    Points that were never placed are left out, as are lines, curves and other markups.

    Args:
        payload: what ``json.load`` returned.
        where: file name for messages.

    Raises:
        InputError: no markups, a point not named after a vertebra, or one without a place.
    """
    nodes = payload["markups"]
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise InputError("holds no list of markups", where, "3D Slicer Markups", _REMEDY)
    return [found for node in nodes for found in _points_of(node, where)]


def write_markups(path: PathLike, centroids: Iterable[Centroid]) -> None:
    """Write centroids for 3D Slicer; raises OutputError."""
    write_json(path, markups_to_json(centroids))


def _points_of(node: dict[str, Any], where: str) -> Iterator[Centroid]:
    if node.get("type") != "Fiducial":
        return
    system = str(node.get("coordinateSystem", "LPS")).upper()
    if system not in _SIGNS:
        raise InputError(f"has the coordinate system {system!r}", where, "LPS or RAS", _REMEDY)
    unit = node.get("coordinateUnits") or "mm"
    if unit != "mm" and not (isinstance(unit, list) and "mm" in unit):
        raise InputError(f"has the unit {unit!r}", where, "mm", _REMEDY)
    points = node.get("controlPoints") or []
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise InputError("holds no list of points", where, "3D Slicer Markups", _REMEDY)
    for point in points:
        if point.get("positionStatus", "defined") == "defined":
            yield Centroid(_label(point, where), _place(point, _SIGNS[system], where))


def _label(point: dict[str, Any], where: str) -> int:
    name = str(point.get("label", "")).strip()
    try:
        return label_of(name)
    except KeyError:
        remedy = "Name the point after its vertebra, or delete it, and save again."
        what = f"has a point named {name!r}"
        raise InputError(what, where, "names such as C7, T12 or L1", remedy) from None


def _place(point: dict[str, Any], signs: tuple[float, float], where: str) -> PointLps:
    try:
        x, y, z = (float(value) for value in point["position"])
    except (KeyError, TypeError, ValueError) as error:
        what = f"the point {point.get('label')!r} has no place"
        raise InputError(what, where, "three numbers", _REMEDY) from error
    if not all(map(math.isfinite, (x, y, z))):
        what = f"the place of {point.get('label')!r} is not finite"
        raise InputError(what, where, "three numbers", _REMEDY)
    return signs[0] * x, signs[1] * y, z
