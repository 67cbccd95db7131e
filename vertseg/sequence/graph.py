"""The graph of all chains of vertebrae through the places of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vertseg.geometry.grid import FloatArray, IntArray
from vertseg.labels import label_of
from vertseg.sequence.best_path import Graph
from vertseg.sequence.config import SequenceConfig
from vertseg.sequence.evidence import STATES, node_scores, place_mass
from vertseg.sequence.links import Link, Poses, build_links, build_poses, link_scores
from vertseg.sequence.offsets import OffsetStatistics

ROOM = 1.6
"""An image goes on beyond a vertebra if it shows more than this many steps to the next one."""


FORBIDDEN = -1e6
"""Score of what must not be; finite, so that differences of scores stay numbers."""


@dataclass(frozen=True, eq=False)
class ChainGraph:
    """A graph to solve, and what its parts stand for.

    Attributes:
        graph: nodes are (row of ``places``, number in `STATES`).
        places: (n,) rows of the input, from the head downwards.
        links: all links.
        link_of_edge: (E,) row of ``links`` for every edge.
        poses: sizes and tilts; pose q of the graph has scale ``q // len(poses.rotations)``.
    """

    graph: Graph
    places: IntArray
    links: list[Link]
    link_of_edge: IntArray
    poses: Poses


def build_chain_graph(
    points_lps_mm: FloatArray,
    scores: FloatArray,
    channel_labels: Sequence[int],
    z_limits_mm: tuple[float, float] | None,
    statistics: OffsetStatistics,
    config: SequenceConfig,
) -> ChainGraph:
    """Score all nodes and edges.

    Args:
        points_lps_mm: (N, 3) places.
        scores: (N, L) heights of the labels' heatmaps, 0 to 1.
        channel_labels: (L,) label of every channel.
        z_limits_mm: lower and upper end of the image, where known.
        statistics: offsets of neighbours.
        config: tunables.
    """
    mass = place_mass(scores, config)
    places = _usable_places(points_lps_mm, mass, config)
    points = points_lps_mm[places]
    links, poses = build_links(statistics, config), build_poses(statistics, config)
    edges, link_of_edge = _possible_edges(points, links, config)
    offsets = points[edges[:, 2]] - points[edges[:, 0]]
    existing, values = link_scores(offsets, link_of_edge, links, poses, config)
    start, end = _end_scores(points[:, 2], z_limits_mm, links, config)
    for name in ("T13", "L6"):
        start[:, STATES.index(label_of(name))] += np.log(statistics.variant_priors[name])
    faint = mass[places] < _end_threshold(mass, config)
    start[faint] = end[faint] = FORBIDDEN
    graph = Graph(
        node=node_scores(scores[places], channel_labels, config),
        start=start,
        end=end,
        edges=edges[existing],
        link=values,
        pose=poses.score.ravel(),
    )
    return ChainGraph(graph, places, links, link_of_edge[existing], poses)


def _usable_places(points: FloatArray, mass: FloatArray, config: SequenceConfig) -> IntArray:
    """Rows of the places that are worth considering, from the head downwards."""
    heaviest = np.argsort(-mass, kind="stable")[: config.maximum_places]
    usable = heaviest[mass[heaviest] >= config.minimum_mass]
    return usable[np.argsort(-points[usable, 2], kind="stable")]


def _end_threshold(mass: FloatArray, config: SequenceConfig) -> float:
    """Smallest mass of the first and last vertebra of a chain."""
    typical = np.median(mass[mass >= config.minimum_peak], keepdims=True)
    return float(min(config.end_mass, *(config.relative_end_mass * typical)))


def _possible_edges(
    points: FloatArray, links: Sequence[Link], config: SequenceConfig
) -> tuple[IntArray, IntArray]:
    """All (from place, from state, to place, to state) within the hard limits, and their links."""
    upper, lower = np.triu_indices(len(points), 1)
    offsets = points[lower] - points[upper]
    downwards = offsets[:, 2] < 0
    distance = np.linalg.norm(offsets, axis=1)
    edges, link_of_edge = [], []
    for number, link in enumerate(links):
        steps = len(link.skipped) + 1
        near = distance <= steps * config.maximum_distance_mm + config.distance_tolerance_mm
        apart = distance >= steps * config.minimum_distance_mm - config.distance_tolerance_mm
        usable = downwards & near & apart
        rows = np.empty((int(usable.sum()), 4), int)
        rows[:, 0], rows[:, 2] = upper[usable], lower[usable]
        rows[:, 1], rows[:, 3] = STATES.index(link.upper), STATES.index(link.lower)
        edges.append(rows)
        link_of_edge.append(np.full(len(rows), number))
    return np.concatenate(edges), np.concatenate(link_of_edge)


def _end_scores(
    z_mm: FloatArray,
    z_limits_mm: tuple[float, float] | None,
    links: Sequence[Link],
    config: SequenceConfig,
) -> tuple[FloatArray, FloatArray]:
    """(n, states) score of beginning and of ending a chain at every place with every label."""
    start = np.full((len(z_mm), len(STATES)), -config.start_cost)
    end = np.zeros_like(start)
    if z_limits_mm is None:
        return start, end
    above, below = np.full((2, len(STATES)), np.inf)
    for link in links:
        if not link.skipped and link.lower != label_of("L6"):
            upper, lower = STATES.index(link.upper), STATES.index(link.lower)
            above[lower] = below[upper] = -ROOM * link.mean_mm[2]
    start[(z_limits_mm[1] - z_mm)[:, None] > above] -= config.open_end_cost
    end[(z_mm - z_limits_mm[0])[:, None] > below] -= config.open_end_cost
    return start, end
