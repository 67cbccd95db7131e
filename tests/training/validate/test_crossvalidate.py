"""Each stage fed with the truth: known answers, and which weights score which cases."""

import csv
import dataclasses
import io
import math
from types import SimpleNamespace

import numpy as np
import pytest

from models import PRESETS
from vertseg.errors import ConfigurationError, InputError
from vertseg.evaluate.scores import average
from vertseg.geometry.grid import Grid
from vertseg.io.annotations import CaseFiles
from vertseg.io.image import Image
from vertseg.sequence.solve import FoundVertebra, SequenceResult
from vertseg.system.atomic import write_json
from vertseg.training.data.dataset import CaseData, DataCase
from vertseg.training.data.real_pool import fold_of_cases
from vertseg.training.validate import stage_scores
from vertseg.training.validate.crossvalidate import group_by_weights
from vertseg.training.validate.stage_scores import Networks, column_at, score_stages
from vertseg.training.validate.tables import tables

PRESET = PRESETS["default"]
RADIUS_MM = 14.0
POINTS = {
    20: np.array([-60.0, -60.0, 120.0]),
    21: np.array([-58.0, -62.0, 86.0]),
    22: np.array([-60.0, -60.0, 52.0]),
}


class BallNetwork:
    """Segments a ball around the point that the second input channel marks."""

    config = PRESET.segmentation

    def __call__(self, batch):
        inside = np.exp(-0.5 * (RADIUS_MM / self.config.spacing_mm / self.config.sigma_px) ** 2)
        return (batch[..., 1:] > inside).astype(np.float32)


def case():
    """A scan of 2 mm whose mask shows balls around the points."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    hu = np.random.default_rng(0).integers(-200, 300, (60, 60, 90)).astype(np.int16)
    image = Image.from_array(hu, affine)
    index = np.moveaxis(np.indices(hu.shape), 0, -1)
    world = image.grid.index_to_lps(index)
    mask = np.zeros(hu.shape, np.uint8)
    for label, point in POINTS.items():
        mask[np.linalg.norm(world - point, axis=-1) < RADIUS_MM] = label
    mask[:4] = 24  # cut off, without a point: it is fed to no stage
    return CaseData("a", image, mask, image.grid, POINTS)


def networks():
    plain = SimpleNamespace(config=PRESET.spine)
    return Networks(plain, SimpleNamespace(config=PRESET.vertebrae), BallNetwork())


def chain(points):
    found = (
        FoundVertebra(label, tuple(point), 1.0, mass=1.0, margin=9.0, place=row)
        for row, (label, point) in enumerate(points.items())
    )
    return SequenceResult(tuple(found))


def test_the_vertebrae_stage_is_told_x_and_y_alone():
    """Not where the spine begins and ends, which the paper's did not know, either."""
    scan = case().image.grid
    column = column_at(-59.3, -60.7, scan)
    corners = scan.corners_lps_mm(0.5)[:, 2]
    half = 0.5 * column.grid.spacing[2]
    low, high = column.z_range_mm()
    assert (low - half, high + half) == pytest.approx((corners.min(), corners.max()))
    for part in ((low, high), (low, low + 40), (high - 20, high)):
        assert column.centre_between(*part) == pytest.approx((-59.3, -60.7))


def test_known_answers(monkeypatch):
    data, nets = case(), networks()
    x, y = np.mean([*POINTS.values()], axis=0)[:2]
    beside = column_at(x + 8.0, y, data.image.grid)
    monkeypatch.setattr(stage_scores, "find_spine", lambda image, network: beside)
    seen = []

    def find_vertebrae(image, spine, network):
        seen.append(spine)
        return chain({20: POINTS[20] + (3, 0, 0), 21: POINTS[21] + (0, 4, 0), 23: POINTS[22]})

    monkeypatch.setattr(stage_scores, "find_vertebrae", find_vertebrae)
    scores = score_stages(data, nets)
    assert seen[0].centre_between(-999, 999) == pytest.approx((x, y))
    assert scores.spine.distance_mm == pytest.approx(8.0, abs=0.01)
    rows = {row.name: row for row in scores.vertebrae}
    assert set(rows) == {"L1", "L2", "L3", "L4"}
    assert rows["L1"].distance_mm == pytest.approx(3.0) and rows["L1"].identified
    assert not rows["L3"].predicted and rows["L4"].predicted and not rows["L4"].annotated
    assert all(rows[name].dice > 0.93 for name in ("L1", "L2", "L3"))
    assert all(rows[name].hausdorff_mm < 4.5 for name in ("L1", "L2", "L3"))
    rate = next(
        a for a in average(scores.vertebrae) if (a.region, a.measure) == ("all", "identification")
    )
    assert rate.mean == pytest.approx(200 / 3)


def test_known_answers_of_the_published_inference(monkeypatch):
    data, nets = case(), networks()
    x, y = np.mean([*POINTS.values()], axis=0)[:2]
    monkeypatch.setattr(stage_scores, "find_spine_xy", lambda image, network: (x, y - 5.0))
    told = []

    def find_vertebrae_at(image, spine_xy, network):
        told.append(spine_xy)
        return chain(POINTS)

    monkeypatch.setattr(stage_scores, "find_vertebrae_at", find_vertebrae_at)
    scores = score_stages(data, nets, published=True)
    assert told == [pytest.approx((x, y))] and scores.spine.distance_mm == pytest.approx(5.0)
    rows = {row.name: row for row in scores.vertebrae}
    assert all(rows[name].identified and rows[name].dice > 0.93 for name in ("L1", "L2", "L3"))


def test_nothing_found_and_no_mask(monkeypatch):
    monkeypatch.setattr(stage_scores, "find_spine", lambda image, network: None)
    monkeypatch.setattr(stage_scores, "find_vertebrae", lambda *arguments: SequenceResult())
    full = case()
    scores = score_stages(CaseData("b", full.image, points_lps_mm=POINTS), networks())
    assert math.isnan(scores.spine.distance_mm)
    assert all(math.isnan(row.dice) and not row.identified for row in scores.vertebrae)
    with pytest.raises(InputError, match="points"):
        score_stages(CaseData("b", full.image), networks())
    aside = Grid(full.grid.size, full.grid.affine_lps + np.eye(4, k=3))
    with pytest.raises(InputError, match="grid"):
        score_stages(dataclasses.replace(full, mask_grid=aside), networks())
    texts = tables([scores])
    assert "no spine found in 1 scans" in texts["scores.txt"]
    assert texts["scores.md"].startswith("| region |")
    rows = list(csv.DictReader(io.StringIO(texts["scores.csv"])))
    assert ("lumbar", "identification", "0.0000") in {
        (row["region"], row["measure"], row["mean"]) for row in rows
    }
    assert texts["spines.csv"] == "case,distance_mm\nb,\n"
    assert len(texts["vertebrae.csv"].splitlines()) == 4


def test_every_case_is_scored_by_the_weights_that_never_saw_it(tmp_path, caplog):
    cases = [DataCase(name, CaseFiles(name)) for name in "abcd"]
    assert group_by_weights(cases, None, None) == {None: cases}
    write_json(tmp_path / "single/manifest.json", {})
    single = tmp_path / "single"
    assert group_by_weights(cases, single, {"a": 0}) == {single: cases}
    folds = [{"name": "a", "fold": 0}, {"name": "b", "fold": 1}, {"name": "c", "fold": 0}]
    write_json(tmp_path / "pool/real/report.json", {"cases": folds})
    known = fold_of_cases(tmp_path / "pool")
    with pytest.raises(ConfigurationError, match="missing"):
        group_by_weights(cases, tmp_path / "runs", known)
    for fold in (0, 1):
        write_json(tmp_path / f"runs/fold{fold}/manifest.json", {})
    groups = group_by_weights(cases, tmp_path / "runs", known)
    names = {folder.name: [case.name for case in cases] for folder, cases in groups.items()}
    assert names == {"fold0": ["a", "c"], "fold1": ["b"]}
    assert "d belongs to no fold" in caplog.text
    with pytest.raises(ConfigurationError, match="manifest.json"):
        group_by_weights(cases, tmp_path / "runs", None)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        fold_of_cases(tmp_path)
