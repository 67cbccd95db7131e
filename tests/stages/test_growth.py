"""Vertebrae where stage 1 has seen no spine: the chain itself tells where to look on."""

from types import SimpleNamespace

import numpy as np
import pytest

from models import PRESETS
from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.sequence.offsets import load_statistics
from vertseg.stages import vertebrae
from vertseg.stages.spine import SpineRegion

CONFIG = PRESETS["default"].vertebrae


def course(first: int, last: int) -> dict[int, np.ndarray]:
    """Usual centres from label `first` to `last`, label -> LPS mm."""
    points = {first: np.zeros(3)}
    for label in range(first, last):
        points[label + 1] = points[label] + load_statistics().neighbours[label, label + 1].mean_mm
    return points


def region_of(points) -> SpineRegion:
    """What stage 1 gives for a part of the spine."""
    grid = Grid.axis_aligned(np.rint(np.mean(points, 0) / 8) * 8, (20, 20, 60), (8.0, 8.0, 8.0))
    heatmap = np.zeros(grid.size, np.float32)
    heatmap[tuple(np.rint(grid.lps_to_index(np.array(points))).astype(int).T)] = 1.0
    return SpineRegion(heatmap, grid)


@pytest.fixture
def seen(monkeypatch):
    """A network that knows every vertebra well inside a tile; counts its rounds."""
    truth: dict[int, np.ndarray] = {}
    rounds: list[int] = []

    def predict(image, spine, network, overlap=None, on_tile=None):
        grid, tiles = vertebrae.plan_tiles(spine, CONFIG, overlap)
        rounds.append(len(tiles))
        heatmap = np.zeros((*grid.size, len(CONFIG.labels)), np.float32)
        axes = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="ij"), -1)
        for label, point in truth.items():
            index = np.asarray(grid.lps_to_index(point))
            if any(vertebrae.depth_in(tile, index) * CONFIG.spacing_mm > 12 for tile in tiles):
                shape = np.exp(-0.5 * ((axes - index) ** 2).sum(-1) / 1.25**2)
                heatmap[..., CONFIG.labels.index(label)] = 0.9 * shape
        return heatmap, grid

    monkeypatch.setattr(vertebrae, "predict_heatmaps", predict)
    monkeypatch.setattr(vertebrae, "without_cut", lambda chain, image: chain)
    return truth, rounds


def run(points, margin_mm: float = 40.0):
    ends = np.array([points.min(0) - margin_mm, points.max(0) + margin_mm])
    size = tuple(int(n) for n in np.ceil((ends[1] - ends[0]) / 5))
    grid = Grid.axis_aligned(ends.mean(0), size, (5.0, 5.0, 5.0))
    values = np.zeros(size, np.int16)
    values[0] = 1
    return Image.from_array(values, grid.affine_ras)


@pytest.mark.parametrize("part", [slice(0, 4), slice(-4, None), slice(6, 9)])
def test_a_lost_part_of_the_spine_is_found_from_the_rest(seen, part):
    truth, rounds = seen
    truth |= course(2, 24)
    points = np.array(list(truth.values()))
    image = run(points)
    network = SimpleNamespace(config=CONFIG)
    chain = vertebrae.find_vertebrae(image, region_of(points[part]), network)
    assert [v.label for v in chain.vertebrae] == list(truth)
    assert 1 < len(rounds) <= 6


def test_nothing_is_looked_at_twice_where_the_whole_spine_was_seen(seen):
    truth, rounds = seen
    truth |= course(8, 20)
    points = np.array(list(truth.values()))
    image = run(points, margin_mm=10.0)
    network = SimpleNamespace(config=CONFIG)
    chain = vertebrae.find_vertebrae(image, region_of(points), network)
    assert [v.label for v in chain.vertebrae] == list(truth) and len(rounds) == 1


def test_the_plain_chain_is_solved_once_and_doubts_anew(monkeypatch) -> None:
    solved = []
    monkeypatch.setattr(
        vertebrae, "solve_sequence", lambda *_, doubts, **__: solved.append(doubts) or doubts
    )
    search = vertebrae.Search(None, np.zeros((2, 3)), np.zeros((2, 1)), (20,))
    doubts = vertebrae.Doubts(frozenset({(0, 1)}))
    assert search.chain() is search.chain() is vertebrae.NO_DOUBTS
    assert search.chain(doubts) is doubts
    assert solved == [vertebrae.NO_DOUBTS, doubts]
