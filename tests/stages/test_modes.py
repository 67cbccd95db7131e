"""Quick ways give the answer of the plain one: batches, threads, boxes, half precision."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vertseg
from models import PRESETS
from vertseg.geometry.grid import Grid
from vertseg.stages.modes import preset_for
from vertseg.stages.preprocess import is_padding, resample
from vertseg.stages.weights import load_weights

SAMPLE = Path(vertseg.__file__).parent / "data" / "sample" / "sub-phantom_ct.nii.gz"


@pytest.fixture(scope="module")
def image():
    """The lower part of the sample: four or five vertebrae."""
    whole = vertseg.read_image(SAMPLE)
    planes = whole.grid.size[2]
    hu = whole.array[:, :, : planes // 2]
    return vertseg.Image.from_array(hu, whole.grid.affine_ras)


@pytest.fixture(scope="module")
def plain(image):
    return vertseg.Segmenter(device="cpu", mode="reference")(image)


def agreement(result, plain) -> tuple[float, float]:
    """Smallest Dice of a vertebra and largest distance of its centroids, mm."""
    points = {v.label: np.array(v.point_lps_mm) for v in plain.vertebrae}
    assert points.keys() == {v.label for v in result.vertebrae} and len(points) >= 2
    dice, away = [], []
    for vertebra in result.vertebrae:
        a, b = (r.labels == vertebra.label for r in (result, plain))
        dice.append(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
        away.append(np.linalg.norm(points[vertebra.label] - vertebra.point_lps_mm))
    return min(dice), max(away)


@pytest.mark.parametrize(
    ("precision", "lowest_dice", "furthest_mm"), [("float32", 0.999, 0.1), ("bfloat16", 0.995, 0.5)]
)
def test_the_quick_way_agrees_with_the_plain_one(
    precision, lowest_dice, furthest_mm, image, plain
) -> None:
    segmenter = vertseg.Segmenter(device="cpu", precision=precision)
    assert segmenter.device.precision == precision
    dice, away_mm = agreement(segmenter(image), plain)
    assert dice >= lowest_dice and away_mm <= furthest_mm


def test_the_published_inference_runs_on_any_weights(image, plain) -> None:
    """The same networks, asked as published, find the same vertebrae of a plain scan or fewer."""
    segmenter = vertseg.Segmenter(device="cpu", mode="published")
    result = segmenter(image)
    points = {v.label: np.array(v.point_lps_mm) for v in plain.vertebrae}
    both = [v for v in result.vertebrae if v.label in points]
    assert len(both) >= len(points) - 1
    for v in both:
        assert np.linalg.norm(points[v.label] - v.point_lps_mm) < 8.0
        assert v.voxels > 0 and v.margin == np.inf
    assert result.rival == "" and not result.left_out and len(result.spine_lps_mm) == 2
    spine = segmenter.find_spine(image)
    assert spine.status == "ok" and not spine.vertebrae


def test_the_reference_is_float32_unless_told_otherwise() -> None:
    assert vertseg.Segmenter(device="cpu", mode="reference").device.precision == "float32"


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_fast_takes_larger_voxels_and_fewer(name: str) -> None:
    usual, fast = PRESETS[name], preset_for("fast", PRESETS[name])
    assert preset_for("usual", usual) == usual == preset_for("reference", usual)
    before, after = usual.segmentation, fast.segmentation
    step = 2 ** (len(after.network.filters) - 1)
    assert replace(after, size=before.size, spacing_mm=before.spacing_mm) == replace(
        before, level_spacing_mm=after.level_spacing_mm
    )
    assert all(n % step == 0 for n in after.size) and after.size[2] == before.size[2]
    assert np.prod(after.size) < 0.75 * np.prod(before.size)
    for label in (1, 5, 12, 22):
        assert after.spacing_at(label) == 1.25 * before.spacing_at(label)
        extent = np.array(after.size) * after.spacing_at(label)
        assert (extent > 0.9 * np.array(before.size) * before.spacing_at(label)).all()
    assert fast.vertebrae == replace(usual.vertebrae, overlap=fast.vertebrae.overlap)
    assert fast.vertebrae.overlap < usual.vertebrae.overlap


def test_nothing_but_padding_is_recognised(image) -> None:
    config = load_weights().preset.segmentation
    far = Grid.axis_aligned((9000.0, 0.0, 0.0), config.size, (1.6,) * 3)
    near = Grid.axis_aligned(image.grid.centre_lps_mm, config.size, (1.6,) * 3)
    assert is_padding(resample(image, far))
    assert not is_padding(resample(image, near))
    padded = np.full(image.grid.size, -2000, np.int16)
    padded[0, 0, 0] = 0
    padded = vertseg.Image.from_array(padded, image.grid.affine_ras)
    assert is_padding(resample(padded, near))
