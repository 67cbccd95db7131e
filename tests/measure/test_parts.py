"""Parts of vertebrae against the solids that phantoms are made of, and against simple shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vertseg.evaluate.phantom_parts import dice, parts_table, true_parts
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.frames import SpineFrame
from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.labels import label_of
from vertseg.measure.body import Body, measure_body
from vertseg.measure.bone import CORTICAL, TRABECULAR, split_bone
from vertseg.measure.part_maps import map_parts
from vertseg.measure.parts import ARCH, BODY, PARTS, SPINOUS, WHOLE, split_parts
from vertseg.measure.turn import turned
from vertseg.measure.vertebra import measure_vertebrae
from vertseg.phantom import draw_subject
from vertseg.phantom.spine import PosedVertebra


def body_of(vertebra: PosedVertebra, grid: Grid, mask: np.ndarray) -> Body:
    body = measure_body(mask, grid, SpineFrame(vertebra.frame.origin, vertebra.frame.axes))
    assert body is not None
    return body


@pytest.mark.parametrize(
    ("name", "body", "process"),
    [("C4", 0.92, 0.6), ("C6", 0.92, 0.6), ("T5", 0.95, 0.8), ("T9", 0.95, 0.8), ("L3", 0.97, 0.8)],
)
def test_parts_are_those_drawn(name: str, body: float, process: float) -> None:
    vertebra = draw_subject(3).spine.vertebra(name)
    grid, truth = true_parts(vertebra)
    mask = truth > 0
    found = split_parts(mask, grid, vertebra.label, body_of(vertebra, grid, mask))
    assert ((found > 0) == mask).all()
    assert dice(found == BODY, truth == BODY) > body
    assert dice(mask & (found != BODY), mask & (truth != BODY)) > 0.95
    for part in PARTS:
        if part.id not in (WHOLE, BODY):
            least = min(process, 0.68) if part.id == ARCH else process  # it fades into all others
            assert dice(found == part.id, truth == part.id) > least, part.name


def test_the_width_of_a_neck_vertebra_ends_before_its_transverse_processes() -> None:
    subject = draw_subject(1).spine
    for name in ("C3", "C4", "C5", "C6"):
        vertebra = subject.vertebra(name)
        grid, truth = true_parts(vertebra)
        body = body_of(vertebra, grid, truth > 0)
        across = np.ptp(body.frame.from_lps(grid.index_to_lps(np.argwhere(truth == BODY)))[:, 0])
        assert body.width_mm == pytest.approx(across, abs=3.5)


def test_the_table_of_parts_has_a_column_a_region() -> None:
    lines = parts_table((3,), ("C1", "C5", "L3")).splitlines()
    assert lines[0] == "| part | cervical | lumbar |" and len(lines) == 2 + len(PARTS) - 1 + 1
    assert float(lines[2].split("|")[3]) > 0.95  # the lumbar body


def test_a_turned_vertebra_has_equal_sides() -> None:
    vertebra = draw_subject(3).spine.vertebra("L2")
    grid, truth = true_parts(vertebra)
    mask = truth > 0
    body = body_of(vertebra, grid, mask)
    turn = np.radians(16.0)
    about = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    askew = replace(body, frame=SpineFrame(body.frame.origin_lps_mm, about @ body.frame.axes_lps))
    cosine = float(turned(askew, mask, grid).frame.axes_lps[0] @ vertebra.frame.axes[0])
    assert np.degrees(np.arccos(min(cosine, 1.0))) < 5.0


def test_a_dens_that_leans_into_the_canal_belongs_to_the_body() -> None:
    vertebra = draw_subject(3).spine.vertebra("L2")
    grid, truth = true_parts(vertebra)
    mask = truth > 0
    body = body_of(vertebra, grid, mask)
    local = body.frame.from_lps(grid.index_to_lps(np.moveaxis(np.indices(grid.size), 0, -1)))
    behind = local[..., 1] - body.depth_mm / 2
    dens = (np.hypot(local[..., 0], behind - 3.0) < 3.5) & (np.abs(local[..., 2]) < 10.0)
    of_l2 = split_parts(mask | dens, grid, label_of("L2"), body, cut_off=True)
    of_c2 = split_parts(mask | dens, grid, label_of("C2"), body, cut_off=True)
    assert (of_c2[dens] == BODY).mean() > 0.95 > (of_l2[dens] == BODY).mean()


def test_what_cannot_be_told_is_not_invented() -> None:
    vertebra = draw_subject(3).spine.vertebra("L2")
    grid, truth = true_parts(vertebra)
    mask = truth > 0
    assert set(np.unique(split_parts(mask, grid, vertebra.label, None))) == {0, WHOLE}
    body = body_of(vertebra, grid, mask)
    cut = split_parts(mask, grid, vertebra.label, body, cut_off=True)
    assert set(np.unique(cut)) == {0, ARCH, BODY}
    alone = split_parts(truth == BODY, grid, vertebra.label, body)  # no arch: an open canal
    assert set(np.unique(alone)) <= {0, ARCH, BODY}


def test_a_shell_is_cortical_and_at_least_one_voxel_thick() -> None:
    grid = Grid.axis_aligned((0.0, 0.0, 0.0), (40, 40, 40), 1.0)
    away = np.linalg.norm(grid.index_to_lps(np.moveaxis(np.indices(grid.size), 0, -1)), axis=-1)
    mask = away <= 15.0
    values = np.where(away > 12.5, 700, 150).astype(np.int16)
    split = split_bone(values, mask, grid, 150.0)
    assert (split[mask & (away > 12.5)] == CORTICAL).all()
    assert (split[away <= 12.0] == TRABECULAR).all()
    flat = split_bone(np.full(grid.size, 150, np.int16), mask, grid, None)
    assert (flat[away <= 13.0] == TRABECULAR).all()
    assert (flat[mask & (away > 14.5)] == CORTICAL).all()


def test_maps_of_a_scan_fill_the_mask_and_their_volumes_add_up() -> None:
    vertebra = draw_subject(3).spine.vertebra("L3")
    grid, truth = true_parts(vertebra)
    truth[:, -1] = 0  # the border cuts nothing
    labels = np.where(truth > 0, np.uint8(vertebra.label), np.uint8(0))
    labels[:2] = label_of("C1")  # a second one, which cannot be divided
    image = Image.from_array(np.where(labels > 0, 150, -80), grid.affine_ras)
    places = [
        Centroid(label_of("C1"), tuple(grid.index_to_lps([0, 30, 60]))),
        Centroid(vertebra.label, tuple(vertebra.frame.origin)),
    ]
    measured = measure_vertebrae(image, labels, places)
    maps = map_parts(image, labels, places, measured)
    assert ((maps.parts > 0) == (labels > 0)).all() and ((maps.bone > 0) == (labels > 0)).all()
    row = maps.rows[vertebra.label]
    volumes = {name: cells["volume_ml"] for name, cells in row.items()}
    layers = volumes.pop("cortical") + volumes.pop("trabecular")
    assert sum(volumes.values()) == pytest.approx(measured[1].volume_ml, abs=0.1)
    assert layers == pytest.approx(measured[1].volume_ml, abs=0.1)
    assert row["body"]["mean_hu"] == 150.0
    assert "whole" in maps.rows[label_of("C1")] and "body" not in maps.rows[label_of("C1")]


def test_a_part_that_the_border_cuts_has_no_volume() -> None:
    vertebra = draw_subject(3).spine.vertebra("L3")
    grid, truth = true_parts(vertebra)
    tip = np.argwhere(truth == SPINOUS)
    across = grid.index_to_lps(tip)[:, 1].max() - 5.0
    seen = grid.index_to_lps(np.moveaxis(np.indices(grid.size), 0, -1))[..., 1] <= across
    box = tuple(slice(n.min(), n.max() + 1) for n in np.nonzero(seen))
    labels = np.where(truth[box] > 0, np.uint8(vertebra.label), np.uint8(0))
    image = Image.from_array(np.where(labels > 0, 150, -80), grid.crop(box).affine_ras)
    places = [Centroid(vertebra.label, tuple(vertebra.frame.origin))]
    measured = measure_vertebrae(image, labels, places)
    assert measured[0].touches_border == "P" and not measured[0].cut_off
    row = map_parts(image, labels, places, measured).rows[vertebra.label]
    cut = {name for name, cells in row.items() if cells["touches_border"] == "P"}
    assert {"spinous", "cortical"} <= cut <= {"spinous", "cortical", "trabecular"}
    assert {name for name, cells in row.items() if cells["volume_ml"] is None} == cut
    body_ml = np.count_nonzero(truth == BODY) * grid.voxel_volume_mm3 / 1000
    assert row["body"]["volume_ml"] == pytest.approx(body_ml, rel=0.05)
    assert row["spinous"]["mean_hu"] == 150.0
