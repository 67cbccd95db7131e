"""Maps of the parts and the bone of all vertebrae of a scan, with the numbers of each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vertseg.geometry.boxes import empty_labels, label_boxes, widened
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.frames import SpineFrame, frames_along
from vertseg.geometry.grid import Grid, LabelArray
from vertseg.io.image import Image
from vertseg.labels import label_of
from vertseg.measure.body import Body, measure_body
from vertseg.measure.bone import CORTICAL, TRABECULAR, split_bone
from vertseg.measure.border import Face, border_faces, sides_of
from vertseg.measure.parts import PARTS, split_parts
from vertseg.measure.rows import PartRow
from vertseg.measure.vertebra import Measurement

_AXIS = label_of("C2")


@dataclass(frozen=True, eq=False)
class PartMaps:
    """The parts of all vertebrae of a scan.

    Attributes:
        parts: (i, j, k) uint8, ids of `vertseg.measure.parts.PARTS`.
        bone: (i, j, k) uint8, 1 cortical, 2 trabecular.
        rows: label -> name of a part, ``cortical`` or ``trabecular`` -> its numbers; its volume
            is None where the border of what was scanned cuts it.
    """

    parts: LabelArray
    bone: LabelArray
    rows: dict[int, dict[str, PartRow]]


def map_parts(
    image: Image,
    labels: LabelArray,
    vertebrae: Sequence[Centroid],
    measurements: Sequence[Measurement],
) -> PartMaps:
    """Divide all vertebrae of a scan into their parts, and into cortical and trabecular bone.

    Args:
        image: the scan.
        labels: (i, j, k) uint8, its mask.
        vertebrae: from the head downwards.
        measurements: of the same, in the same order.
    """
    parts, bone = empty_labels(image.grid), empty_labels(image.grid)
    boxes = label_boxes(labels)
    frames = frames_along([vertebra.point_lps_mm for vertebra in vertebrae])
    rows = {}
    for vertebra, frame, measured in zip(vertebrae, frames, measurements, strict=True):
        found = boxes.get(vertebra.label)
        if found is None:
            continue
        box = widened(found, labels.shape)
        mask, values, grid = labels[box] == vertebra.label, image.array[box], image.grid.crop(box)
        body = measured.body or _axis_body(mask, grid, frame, vertebra.label)
        cut_off = measured.cut_off or vertebra.label == _AXIS
        split = split_parts(mask, grid, vertebra.label, body, cut_off)
        layers = split_bone(values, mask, grid, measured.trabecular_hu)
        parts[box][mask], bone[box][mask] = split[mask], layers[mask]
        faces = border_faces(values, mask, box, image.grid)
        rows[vertebra.label] = _row(values, split, layers, faces, grid.voxel_volume_mm3 / 1000.0)
    return PartMaps(parts, bone, rows)


def _axis_body(
    mask: npt.NDArray[np.bool_], grid: Grid, frame: SpineFrame, label: int
) -> Body | None:
    """Body and dens of C2, of which nothing else is measured."""
    return measure_body(mask, grid, frame) if label == _AXIS else None


def _row(
    values: npt.NDArray[Any],
    split: LabelArray,
    layers: LabelArray,
    faces: Sequence[Face],
    voxel_ml: float,
) -> dict[str, PartRow]:
    chosen = {part.name: split == part.id for part in PARTS}
    chosen |= {"cortical": layers == CORTICAL, "trabecular": layers == TRABECULAR}
    return {
        name: _part_row(values, where, faces, voxel_ml)
        for name, where in chosen.items()
        if where.any()
    }


def _part_row(
    values: npt.NDArray[Any],
    where: npt.NDArray[np.bool_],
    faces: Sequence[Face],
    voxel_ml: float,
) -> PartRow:
    sides = sides_of([face for face in faces if where[tuple(face.index.T)].any()])
    volume_ml = round(int(np.count_nonzero(where)) * voxel_ml, 2)
    return {
        "volume_ml": None if sides else volume_ml,
        "mean_hu": round(float(values[where].mean()), 1),
        "touches_border": sides,
    }
