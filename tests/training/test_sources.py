"""What is drawn from which source, without an atlas."""

import json
from dataclasses import replace

import numpy as np
import pytest

from vertseg.errors import ConfigurationError
from vertseg.phantom import make_phantom
from vertseg.training.data.real import HELD_OUT
from vertseg.training.data.real_pool import FOLDER, REPORT, PoolCase, write_case
from vertseg.training.loop.provenance import provenance
from vertseg.training.presets import TOY
from vertseg.training.recipe import recipe_for, recipes_for
from vertseg.training.sources import SourceGrids, Sources

STAGES = ("vertebrae", "segmentation")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Two scans with masks, of two folds, for two stages."""
    folder = tmp_path_factory.mktemp("pool")
    for number, stage in enumerate(("vertebrae", "segmentation", "vertebrae", "segmentation")):
        spacing = recipe_for(stage, getattr(TOY, stage)).source_spacing_mm
        seed = number // 2
        phantom = make_phantom(("L1", "L3"), spacing, seed, field_mm=(110.0, 110.0))
        points = {c.label: phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids}
        whole, hu = frozenset(points), phantom.hu + np.int16(seed)
        case = PoolCase(
            f"p{seed}", f"p{seed}", seed, stage, spacing, points, True, whole, hu,
            phantom.vertebra_mask(),
        )  # fmt: skip
        write_case(folder, case)
    (folder / FOLDER / REPORT).write_text(json.dumps({"cases": []}))
    return folder


def drawn(sources, count=12):
    return [sources.source(np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("stage", STAGES)
def test_a_fold_is_left_out_of_training_and_is_all_that_validates(pool, stage):
    recipe = recipe_for(stage, getattr(TOY, stage))
    volumes = {}
    for held_back in (False, True):
        sources = Sources(None, recipe, pool, fold=0, held_back=held_back)
        volumes[held_back] = {v.name for v in sources.volumes["scan"]}
    assert volumes == {False: {"p1"}, True: {"p0"}}
    everything = Sources(None, recipe, pool)
    assert {v.name for v in everything.volumes["scan"]} == {"p0", "p1"}


def test_scans_that_are_held_out_are_never_taken(pool):
    recipe = recipe_for("vertebrae", TOY.vertebrae)
    sources = Sources(None, recipe, pool, hold_out=("p1",))
    assert {v.name for v in sources.volumes["scan"]} == {"p0"}


def test_the_manifest_tells_which_scans_no_leg_has_seen(tmp_path):
    def leg(stage, step, **config):
        text = json.dumps({"config": config})
        (tmp_path / f"{stage}.{step:06d}.json").write_text(text)

    leg("spine", 0)
    leg("vertebrae", 0, hold_out=None)
    leg("vertebrae", 900, hold_out=["tptbox"])
    leg("segmentation", 0, hold_out=[])
    held_out = provenance(tmp_path)["held_out"]
    assert held_out["spine"] == list(HELD_OUT)
    assert held_out["vertebrae"] == ["tptbox"] and held_out["segmentation"] == []


def test_segmentation_learns_from_the_values_of_scans_and_their_masks(pool):
    recipe = recipe_for("segmentation", TOY.segmentation)
    sources = Sources(None, recipe, pool)
    for source in drawn(sources):
        assert source.volume.dtype == np.int16 and source.wanted in source.landmarks
        sample = sources.sample(source, np.random.default_rng(0))
        assert sample["painted"] == 0
        inside = sample["mask"] > 0
        assert inside.sum() > 500
        np.testing.assert_array_equal(inside, source.mask == source.wanted)
        assert source.volume[inside].mean() > source.volume[~inside].mean() + 50
    assert len({source.wanted for source in drawn(sources)}) > 1


def test_nothing_to_train_on_is_said(tmp_path):
    recipe = recipe_for("spine", TOY.spine)
    with pytest.raises(ConfigurationError, match="nothing to train the spine stage on"):
        Sources(None, recipe, tmp_path)
    with pytest.raises(ConfigurationError, match="leave a fold out"):
        Sources(None, recipe, tmp_path, fold=1)


FINE = replace(TOY.segmentation, level_spacing_mm=((3, 1.5), (4, 1.5), (20, 3.0)), spacing_mm=2.5)


def test_a_stage_with_a_fine_grid_has_a_recipe_for_its_levels():
    common, fine = recipes_for("segmentation", FINE)
    assert fine.levels == {3, 4} and 20 in common.levels and not common.levels & fine.levels
    assert fine.source_spacing_mm == pytest.approx(1.5 / 1.15)
    assert common.source_spacing_mm == recipe_for("segmentation", FINE).source_spacing_mm
    assert (common.name, fine.name) == ("segmentation", "segmentation-fine")
    assert len(recipes_for("segmentation", TOY.segmentation)) == 1
    assert len(recipes_for("vertebrae", TOY.vertebrae)) == 1


def neck_pool(folder, recipes):
    for recipe in recipes:
        spacing = recipe.source_spacing_mm
        phantom = make_phantom(("C3", "C6"), spacing, 0, field_mm=(110.0, 110.0))
        points = {c.label: phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids}
        mask, whole = phantom.vertebra_mask(), frozenset(points)
        case = PoolCase("n", "n", 0, recipe.name, spacing, points, True, whole, phantom.hu, mask)
        write_case(folder, case)
    (folder / FOLDER / REPORT).write_text(json.dumps({"cases": []}))


def test_every_level_is_drawn_on_its_own_grid(tmp_path):
    recipes = recipes_for("segmentation", FINE)
    neck_pool(tmp_path, recipes)
    sources = SourceGrids(None, recipes, tmp_path)
    seen = {(grid, source.wanted) for grid, source in drawn(sources, 60)}
    assert {(1, 3), (1, 4), (0, 5), (0, 6)} <= seen and {w for g, w in seen if g} == {3, 4}
    sample = sources.draw(np.random.default_rng(0))
    assert sample["labels"].shape == recipes[0].source_size


def test_a_pool_without_the_fine_grid_makes_samples_of_all_levels_on_the_common_one(tmp_path):
    recipes = recipes_for("segmentation", FINE)
    neck_pool(tmp_path, recipes[:1])
    seen = {(g, source.wanted) for g, source in drawn(SourceGrids(None, recipes, tmp_path), 60)}
    assert {(0, 3), (0, 4), (0, 5), (0, 6)} <= seen and not any(grid for grid, _ in seen)
