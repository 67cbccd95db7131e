"""Optional outputs, besides mask, centroids, preview and report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vertseg.batch.optional import optional
from vertseg.geometry.boxes import label_boxes
from vertseg.io.case import Case
from vertseg.io.dicom_damage import Series
from vertseg.io.dicom_report import picture_of, write_measurements, write_picture
from vertseg.io.dicom_rtstruct import write_rtstruct
from vertseg.io.markups import write_markups
from vertseg.io.mask import write_labels, write_mask
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
    fine = (case.mask_1mm,) if options.mask_1mm else ()
    parts = (case.parts, case.bone) if options.parts else ()
    dicom = tuple(path for kind, path in _dicom(case) if getattr(options, kind) and case.slices)
    return (*markups, *fine, *parts, *_meshes(case, options.meshes), *dicom)


def all_extra_outputs(case: Case) -> tuple[Path, ...]:
    """Every such file that a case may have."""
    meshes = (*_meshes(case, "glb"), *_meshes(case, "stl"))
    masks = (case.mask_1mm, case.parts, case.bone)
    return (case.markups, *masks, *meshes, *(path for _, path in _dicom(case)))


def _dicom(case: Case) -> tuple[tuple[str, Path], ...]:
    """Option, which is also the kind of output, and file."""
    kinds = ("dicom_rtstruct", "dicom_report", "dicom_preview")
    return tuple((kind, getattr(case, kind)) for kind in kinds)


def write_extras(
    case: Case,
    options: OutputOptions,
    result: Result,
    analysis: Analysis,
    place: Place,
    failed: dict[str, str],
) -> dict[str, Path]:
    """Write the optional outputs; an error in one does not affect the others.

    Args:
        case: the scan and the names of its outputs.
        options: of the run.
        result: what was found.
        analysis: what was measured in it.
        place: where to write the output that has this path relative to the output folder.
        failed: gets the kinds that could not be written, and why.

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
    fine = result.fine
    if fine is not None:
        yield "mask_1mm", case.mask_1mm, lambda path: write_labels(path, fine.labels, fine.grid)
    if maps is not None:
        yield "parts", case.parts, lambda path: write_mask(path, maps.parts, image)
        yield "bone", case.bone, lambda path: write_mask(path, maps.bone, image)
    series, planes = case.series, image.grid.size[2]
    if options.dicom_rtstruct and series and result.labels.any():
        files = series.sources
        yield (
            *("dicom_rtstruct", case.dicom_rtstruct),
            lambda path: write_rtstruct(path, result.labels, image.grid, files),
        )
    if options.dicom_report and series and result.has_centroids:
        yield (
            *("dicom_report", case.dicom_report),
            lambda path: _write_measurements(path, analysis, series, planes),
        )
    if options.meshes == "glb" and result.labels.any():
        yield "meshes", case.meshes, lambda path: write_glb(path, list(_nodes(result, analysis)))
    if options.meshes == "stl":
        for node in _whole_nodes(result):
            write = partial(_write_stl, node)
            yield f"mesh_{node.name}", case.mesh(node.name), write


def write_preview_extras(
    case: Case, options: OutputOptions, planes: int, place: Place, failed: dict[str, str]
) -> dict[str, Path]:
    """Write the preview, which is there by now, as Secondary Capture; see `write_extras`."""
    written: dict[str, Path] = {}
    if options.dicom_preview and case.series:
        with optional("dicom_preview", failed):
            pixels = picture_of(place(case.preview))
            write_picture(place(case.dicom_preview), pixels, case.series.sources, planes)
            written["dicom_preview"] = case.dicom_preview
    return written


def _write_measurements(path: Path, analysis: Analysis, series: Series, planes: int) -> None:
    angles = [asdict(angle) for angle in analysis.angles]
    flags = [flag.as_dict() for flag in analysis.flags]
    write_measurements(path, analysis.rows, angles, flags, series.sources, planes)


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
