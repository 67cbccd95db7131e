"""Previews: the picture is the right way round, follows the spine, and copes with any scan."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy import ndimage

from tests.support.fake_segmenter import POINTS, FakeSegmenter, fake_result, phantom_scan
from tests.support.paths import ROOT
from vertseg.geometry.lines import Lines
from vertseg.io.case import Case
from vertseg.io.image import Image
from vertseg.labels import VERTEBRAE, colour_of
from vertseg.measure import analyse
from vertseg.report import drawing
from vertseg.report.build import build_report
from vertseg.report.drawing import font, lightened, overlay, shorten, wrap
from vertseg.report.preview import HEADER, WIDTH, marks, render_preview, spread, write_preview
from vertseg.report.preview_text import scan_in_words
from vertseg.report.reformat import Course, reformat
from vertseg.report.run_info import OutputOptions, RunInfo
from vertseg.stages import SPINE_ONLY
from vertseg.system.fingerprint import Fingerprint

AFFINE = np.diag([-4.0, -4.0, 4.0, 1.0])
ORIENTATIONS = [
    (axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def report_of(result, name: str = "a.nii.gz"):
    case = Case.from_path(Path("in") / name, Path("in"))
    run = RunInfo.of(FakeSegmenter(), OutputOptions())
    return build_report(case, Fingerprint(1, 2, "3"), run, result, analyse(result), {}, {})


def block_image(axes, signs) -> tuple[Image, np.ndarray]:
    """Air with a bright block, and a label, at the left, front and top of a 40 mm cube."""
    size = (20, 20, 20)
    direction = np.eye(3)[:, list(axes)] * np.array(signs) * 2.0
    affine = np.eye(4)
    affine[:3, :3] = direction
    affine[:3, 3] = -direction @ [9.5, 9.5, 9.5]
    world_ras = np.moveaxis(np.indices(size), 0, -1) @ direction.T + affine[:3, 3]
    block = np.all(world_ras * [-1, 1, 1] > 5.0, axis=-1)  # left, front, top
    hu = np.where(block, 1200, -900).astype(np.int16)
    hu[0, 0, 0] = 60
    return Image.from_array(hu, affine), block.astype(np.uint8) * 20


FIRST_PICTURE = """
import sys
from tests.support.fake_segmenter import POINTS, fake_result, phantom_scan
from vertseg.io.image import Image
from vertseg.report.preview import draw, load_libraries
load_libraries()
result = fake_result(Image.from_array(phantom_scan(), [[-4, 0, 0, 0], [0, -4, 0, 0],
                                                       [0, 0, 4, 0], [0, 0, 0, 1]]), POINTS)
before = set(sys.modules)
draw(result).save(sys.argv[1])
print(*set(sys.modules) - before)
"""


def test_libraries_of_pictures_can_be_loaded_beforehand(tmp_path: Path) -> None:
    """A run loads them beside the networks; nothing is left for the first picture."""
    command = [sys.executable, "-c", FIRST_PICTURE, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_fonts_are_shipped_with_their_licence() -> None:
    folder = Path(drawing.__file__).parents[1] / "data" / "fonts"
    assert (folder / "LICENSE_DEJAVU").is_file()
    names = [font(15, bold).getname() for bold in (False, True)]
    assert names == [("DejaVu Sans", "Book"), ("DejaVu Sans", "Bold")]


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_front_is_left_right_is_left_and_top_is_up(axes, signs) -> None:
    image, labels = block_image(axes, signs)
    for plane, point in (("coronal", (0.0, -10.0, 0.0)), ("sagittal", (10.0, 0.0, 0.0))):
        view = reformat(image, labels, Course([point], image.grid), plane, 1.0)
        rows, columns = np.nonzero(view.labels)
        assert view.grey[view.labels == 20].mean() > 200
        assert rows.max() < 20  # top
        if plane == "coronal":  # the patient's left is on the right
            assert columns.min() >= 20
        else:  # the front is on the left
            assert columns.max() < 20


def test_the_picture_follows_a_curved_spine() -> None:
    size = (40, 40, 60)
    x, y, z = np.indices(size)
    column_x, column_y = 20 + 8 * np.sin(z / 10), 20 + 6 * np.cos(z / 12)
    hu = np.where(np.hypot(x - column_x, y - column_y) < 2.5, 900, -500).astype(np.int16)
    image = Image.from_array(hu, np.diag([-2.0, -2.0, 2.0, 1.0]))
    heights = np.arange(2, 59, 5)
    index = np.stack([20 + 8 * np.sin(heights / 10), 20 + 6 * np.cos(heights / 12), heights], -1)
    course = Course(image.grid.index_to_lps(index), image.grid)
    for plane in ("sagittal", "coronal"):
        view = reformat(image, np.zeros(size, np.uint8), course, plane, 2.0)
        bright = (view.grey > 180).sum(axis=1)
        assert bright[4:-4].min() >= 3


def test_outside_of_the_scan_is_marked() -> None:
    turn = np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    image = Image.from_array(phantom_scan(), turn @ AFFINE)
    labels = np.zeros(image.grid.size, np.uint8)
    view = reformat(image, labels, Course([], image.grid), "coronal", 4.0)
    assert not view.inside[:, 0].any() and view.inside[:, view.inside.shape[1] // 2].all()


@pytest.mark.parametrize("points", [POINTS, {20: POINTS[20]}, {}])
def test_a_preview_is_drawn_whatever_was_found(points, tmp_path) -> None:
    image = Image.from_array(phantom_scan(), AFFINE)
    result = fake_result(image, points)
    report = report_of(result)
    write_preview(tmp_path / "p.png", image, result.labels, report)
    with Pillow.open(tmp_path / "p.png") as picture:
        assert picture.width == WIDTH and 300 < picture.height < 1100
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    for label in points:
        dot = np.all(pixels == colour_of(label), axis=1)
        assert dot.sum() >= 20


def test_a_spine_without_names_is_marked_where_it_was_found() -> None:
    image, course = Image.from_array(phantom_scan(), AFFINE), tuple(POINTS.values())
    for status, marked in (("ok", list(map(list, course))), ("no_spine", [])):
        found = {"stages": SPINE_ONLY, "status": status, "spine_lps_mm": course}
        report = report_of(fake_result(image, {}, **found))
        assert [point for point, _ in marks(report)] == marked


@pytest.mark.parametrize("size", [(24, 26, 1), (24, 1, 30), (1, 26, 30), (3, 3, 3), (24, 26, 300)])
def test_odd_sizes(size) -> None:
    hu = np.random.default_rng(0).integers(-900, 900, size).astype(np.int16)
    image = Image.from_array(hu, AFFINE)
    for points in ({}, {20: image.grid.centre_lps_mm}):
        result = fake_result(image, points)
        picture = render_preview(image, result.labels, report_of(result))
        assert picture.width == WIDTH and picture.height < 1200


def test_a_slab_has_no_words_upon_its_heading() -> None:
    image = Image.from_array(phantom_scan((120, 120, 3)), np.diag([-2.0, -2.0, 3.0, 1.0]))
    picture = np.asarray(
        render_preview(image, np.zeros((120, 120, 3), np.uint8), report_of(fake_result(image, {})))
    )
    ground = picture[0, 0]
    assert (picture[HEADER - 14 : HEADER, :100] == ground).all()


def test_many_sentences_and_long_names_fit() -> None:
    image = Image.from_array(phantom_scan(), AFFINE)
    result = fake_result(image, POINTS)
    report = report_of(result, f"{'Ünïcödé 漢字 ' * 20}.nii.gz")
    report["geometry"]["repairs"] = ["something was repaired, and this is " * 8] * 30
    assert render_preview(image, result.labels, report).height < 1200


def test_centroids_that_were_given_are_told() -> None:
    report = report_of(fake_result(Image.from_array(phantom_scan(), AFFINE), POINTS))
    assert scan_in_words(report) == "24×26×40 voxels of 4.00×4.00×4.00 mm, LPS"
    given = {**report, "given_centroids": {"bytes": 1}}
    assert scan_in_words(given).endswith("LPS, centroids given")


@pytest.mark.parametrize("tilt", [0.0, 0.2])
def test_a_large_scan_costs_no_more_than_its_picture(monkeypatch, tilt) -> None:
    """Only what is shown is sampled, so that a preview takes less than a second."""
    sampled = []
    point_by_point, by_lines = ndimage.map_coordinates, Lines.mean_lines

    def count(array, index, *arguments, **options):
        sampled.append(index[0].size)
        return point_by_point(array, index, *arguments, **options)

    def count_lines(lines, array, shifts):
        sampled.append(len(lines.first) * array.shape[2] * len(shifts))
        return by_lines(lines, array, shifts)

    monkeypatch.setattr("vertseg.geometry.lines.ndimage.map_coordinates", count)
    monkeypatch.setattr(Lines, "mean_lines", count_lines)
    hu = np.zeros((300, 300, 250), np.int16)
    hu[0] = 50
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    affine[:2, :2] @= [[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]
    image = Image.from_array(hu, affine)
    report = report_of(fake_result(image, {}))
    sampled.clear()
    picture = render_preview(image, np.zeros(image.grid.size, np.uint8), report)
    assert 0 < sum(sampled) <= 4 * picture.width * picture.height


def test_names_are_moved_apart_as_little_as_need_be() -> None:
    assert spread([0.0, 50.0, 100.0], 19.0) == [0.0, 50.0, 100.0]
    assert spread([100.0, 100.0], 20.0) == [90.0, 110.0]
    places = spread([0.0, 3.0, 5.0, 60.0, 61.0, 200.0], 20.0)
    assert all(b - a >= 20.0 - 1e-9 for a, b in zip(places, places[1:], strict=False))
    assert places[-1] == 200.0


def test_text_is_broken_and_shortened_to_fit() -> None:
    face = font(16)
    lines = wrap("a few words and averyveryverylongwordwithoutanyspace at the end", face, 120)
    assert all(face.getlength(line) <= 120 for line in lines)
    assert "".join(lines).replace(" ", "").startswith("afewwordsandaveryvery")
    assert wrap("", face, 120) == []
    assert face.getlength(shorten("a/very/long/path/to/some/scan.nii.gz", face, 100)) <= 100
    assert shorten("short", face, 100) == "short"


def test_names_are_bright_enough_on_the_dark_ground() -> None:
    for vertebra in VERTEBRAE:
        red, green, blue = lightened(vertebra.colour)
        assert 0.30 * red + 0.59 * green + 0.11 * blue >= 0.55 * 255


def test_masks_leave_the_rest_of_the_picture_alone() -> None:
    grey = np.full((9, 9, 3), 100, np.uint8)
    labels = np.zeros((9, 9), np.uint8)
    labels[2:7, 2:7] = 20
    drawn = overlay(grey, labels)
    assert (drawn[labels == 0] == 100).all()
    inner, edge = drawn[4, 4].astype(float), drawn[2, 4].astype(float)
    colour = np.array(colour_of(20), float)
    assert np.linalg.norm(edge - colour) < np.linalg.norm(inner - colour)
