"""Outputs that a user asks for besides mask, centroids, preview and report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vertseg.batch.optional import optional
from vertseg.geometry.boxes import label_boxes
from vertseg.io.case import Case
from vertseg.io.markups import write_markups
from vertseg.io.mask import write_mask
from vertseg.io.mesh import Node, nodes_of, write_glb, write_stl
from vertseg.labels import VERTEBRAE, Colour, colour_of
from vertseg.measure import Analysis
from vertseg.measure.parts import PARTS
from vertseg.report.run_info import Meshes, OutputOptions

if TYPE_CHECKING:
    from vertseg.stages.result import Result

Place = Callable[[Path], Path]
Write = Callable[[Path], None]


def extra_outputs(case: Case, options: OutputOptions) -> tuple[Path, ...]:
    """Files that a case may have where these options are set, relative to the output folder."""
    markups = (case.markups,) if options.markups else ()
    parts = (case.parts, case.bone) if options.parts else ()
    return (*markups, *parts, *_meshes(case, options.meshes))


def all_extra_outputs(case: Case) -> tuple[Path, ...]:
    """Every such file that a case may have."""
    meshes = (*_meshes(case, "glb"), *_meshes(case, "stl"))
    return (case.markups, case.parts, case.bone, *meshes)


def write_extras(
    case: Case,
    options: OutputOptions,
    result: Result,
    analysis: Analysis,
    place: Place,
    failed: dict[str, str],
) -> dict[str, Path]:
    """Write what was asked for besides; what goes wrong with one costs no other.

    Args:
        case: the scan and the names of its outputs.
        options: of the run.
        result: what was found.
        analysis: what was measured in it.
        place: where to write the output that has this path relative to the output folder.
        failed: is told which could not be written, and why.

    Returns:
        Kind of output -> path relative to the output folder.
    """
    written: dict[str, Path] = {}
    for kind, path, write in _wanted(case, options, result, analysis):
        with optional(kind, failed):
            write(place(path))
            written[kind] = path
    return written


def _wanted(
    case: Case, options: OutputOptions, result: Result, analysis: Analysis
) -> Iterator[tuple[str, Path, Write]]:
    image, maps = result.image, analysis.part_maps
    if options.markups and result.has_centroids:
        yield "markups", case.markups, lambda path: write_markups(path, result.vertebrae)
    if maps is not None:
        yield "parts", case.parts, lambda path: write_mask(path, maps.parts, image)
        yield "bone", case.bone, lambda path: write_mask(path, maps.bone, image)
    if options.meshes == "glb" and result.labels.any():
        yield "meshes", case.meshes, lambda path: write_glb(path, list(_nodes(result, analysis)))
    if options.meshes == "stl":
        for node in _whole_nodes(result):
            write = partial(_write_stl, node)
            yield f"mesh_{node.name}", case.mesh(node.name), write


def _write_stl(node: Node, path: Path) -> None:
    write_stl(path, node.surface)


def _meshes(case: Case, kind: Meshes | None) -> tuple[Path, ...]:
    if kind == "stl":
        return tuple(case.mesh(vertebra.name) for vertebra in VERTEBRAE)
    return (case.meshes,) if kind == "glb" else ()


def _whole_nodes(result: Result) -> Iterator[Node]:
    boxes = label_boxes(result.labels)
    for vertebra in result.vertebrae:
        if vertebra.label in boxes:
            members = {vertebra.name: (vertebra.label, colour_of(vertebra.label))}
            yield from nodes_of(result.labels, result.image.grid, boxes[vertebra.label], members)


def _nodes(result: Result, analysis: Analysis) -> Iterator[Node]:
    """Whole vertebrae, then their parts, if these are known."""
    yield from _whole_nodes(result)
    maps = analysis.part_maps
    if maps is None:
        return
    boxes = label_boxes(result.labels)
    for vertebra in result.vertebrae:
        if vertebra.label not in boxes:
            continue
        box = boxes[vertebra.label]
        own = np.where(result.labels[box] == vertebra.label, maps.parts[box], np.uint8(0))
        members: dict[str, tuple[int, Colour]] = {
            f"{vertebra.name} {part.name}": (part.id, part.colour) for part in PARTS
        }
        whole = (slice(None), slice(None), slice(None))
        yield from nodes_of(own, result.image.grid.crop(box), whole, members)
