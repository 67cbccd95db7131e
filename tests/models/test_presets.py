"""Presets survive JSON, and nothing but a preset is taken for one."""

import dataclasses
import json

import numpy as np
import pytest

from models import PRESETS, preset_from_dict, preset_to_dict
from vertseg.geometry.centroid import Centroid
from vertseg.stages.segmentation import crop_grid


@pytest.mark.parametrize("name", PRESETS)
def test_round_trip_through_json(name):
    preset = PRESETS[name]
    assert preset.name == name
    again = preset_from_dict(json.loads(json.dumps(preset_to_dict(preset))))
    assert again == preset
    assert hash(again) == hash(preset)


@pytest.mark.parametrize(
    ("path", "where"),
    [((), "preset"), (("spine",), "preset.spine"), (("spine", "network"), "preset.spine.network")],
)
def test_unknown_keys_are_refused_wherever_they_are(path, where):
    data = preset_to_dict(PRESETS["paper"])
    inner = data
    for key in path:
        inner = inner[key]
    inner["num_levels"] = 5
    with pytest.raises(ValueError, match=rf"^{where}: unknown key num_levels; known: "):
        preset_from_dict(data)


@pytest.mark.parametrize("key", ["spine", "name"])
def test_missing_keys_are_refused(key):
    data = preset_to_dict(PRESETS["paper"])
    del data[key]
    with pytest.raises(ValueError, match=key):
        preset_from_dict(data)


def test_presets_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["paper"].spine.spacing_mm = 4.0  # type: ignore[misc]


def test_paper_values():
    """Table of the method's settings (Payer et al., VISAPP 2020, section 4)."""
    paper = PRESETS["paper"]
    assert (paper.spine.size, paper.spine.spacing_mm) == ((64, 64, 128), 8.0)
    assert (paper.vertebrae.size, paper.vertebrae.spacing_mm) == ((96, 96, 128), 2.0)
    assert (paper.segmentation.size, paper.segmentation.spacing_mm) == ((128, 128, 96), 1.0)
    assert paper.vertebrae.overlap == 96
    assert paper.segmentation.shift_posterior_mm == 20.0
    assert paper.vertebrae.labels == tuple(range(1, 26))


def test_small_vertebrae_are_segmented_on_finer_grids_that_hold_them():
    config = PRESETS["default"].segmentation
    for label, largest_width_mm in (
        (1, 95),
        (4, 70),
        (8, 90),
        (13, 75),
        (16, 80),
        (24, 105),
        (28, 90),
    ):
        spacing = config.spacing_at(label)
        grid = crop_grid(Centroid(label, (10.0, 20.0, 30.0)), config)
        assert set(grid.spacing) == {spacing}
        assert grid.size[0] * spacing > largest_width_mm
        _, _, cranial = config.shift_at(label)
        np.testing.assert_allclose(
            grid.centre_lps_mm, (10.0, 20.0 + config.shift_posterior_mm, 30.0 + cranial)
        )
        below = 0.5 * grid.size[2] * spacing - cranial
        assert below > (45 if 13 <= label <= 16 else 31)
    assert config.spacing_at(4) < config.spacing_at(13) < config.spacing_at(22)
    assert PRESETS["paper"].segmentation.spacing_at(4) == 1.0
