"""The graph of all chains of vertebrae through the places of one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import FloatArray, IntArray
from vertseg.labels import label_of, name_of
from vertseg.sequence.best_path import Graph
from vertseg.sequence.config import SequenceConfig
from vertseg.sequence.doubts import NO_DOUBTS, Doubts
from vertseg.sequence.evidence import (
    LABELS,
    LAGS,
    STATES,
    lag_change,
    lag_start,
    node_scores,
    place_mass,
)
from vertseg.sequence.links import Link, Poses, build_links, build_poses, link_scores
from vertseg.sequence.offsets import OffsetStatistics

Inside = Callable[[FloatArray], npt.NDArray[np.bool_]]
"""Whether points (n, 3), LPS mm, are in view: (n,) bool."""

ROOM = 1.6
"""An image continues beyond a vertebra if it shows more than this many steps to the next one."""


FORBIDDEN = -1e6
"""Score of what must not be; finite, so that differences of scores stay numbers."""

RARE = tuple(label_of(name) for name in ("T13", "L6"))
"""Labels that only spines with a numbering variant have."""


@dataclass(frozen=True, eq=False)
class ChainGraph:
    """A graph to solve, and what its parts stand for.

    Attributes:
        graph: nodes are (row of ``places``, number in `STATES`); kinds are labels, modes are lags.
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
    inside: Inside | None,
    statistics: OffsetStatistics,
    config: SequenceConfig,
    doubts: Doubts = NO_DOUBTS,
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
    steps, link_of_step = _possible_steps(points, links, config)
    if doubts.same:
        apart = [not doubts.are_same(int(places[a]), int(places[b])) for a, _, b, _ in steps]
        steps, link_of_step = steps[apart], link_of_step[apart]
    offsets = points[steps[:, 2]] - points[steps[:, 0]]
    existing, values = link_scores(offsets, link_of_step, links, poses, config)
    start, end = _end_scores(points, inside, links, config)
    for label in RARE:
        start[:, LABELS.index(label)] += np.log(statistics.variant_priors[name_of(label)])
    faint = mass[places] < _end_threshold(mass, config)
    start[faint] = end[faint] = FORBIDDEN
    against = np.array([doubts.against.get(int(place), 0.0) for place in places])
    graph = Graph(
        node=node_scores(scores[places], channel_labels, config) - against[:, None],
        start=np.repeat(start, len(LAGS), axis=1) + lag_start(config),
        end=np.repeat(end, len(LAGS), axis=1),
        edges=steps[existing],
        link=values,
        change=lag_change(config),
        pose=poses.score.ravel(),
    )
    return ChainGraph(graph, places, links, link_of_step[existing], poses)


def _usable_places(points: FloatArray, mass: FloatArray, config: SequenceConfig) -> IntArray:
    """Rows of the places that are worth considering, from the head downwards."""
    heaviest = np.argsort(-mass, kind="stable")[: config.maximum_places]
    usable = heaviest[mass[heaviest] >= config.minimum_mass]
    return usable[np.argsort(-points[usable, 2], kind="stable")]


def _end_threshold(mass: FloatArray, config: SequenceConfig) -> float:
    """Smallest mass of the first and last vertebra of a chain."""
    typical = np.median(mass[mass >= config.minimum_peak], keepdims=True)
    return float(min(config.end_mass, *(config.relative_end_mass * typical)))


def _possible_steps(
    points: FloatArray, links: Sequence[Link], config: SequenceConfig
) -> tuple[IntArray, IntArray]:
    """All (from place, from label, to place, to label) within the hard limits, and their links.

    Labels are given by their number in `LABELS`.
    """
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
        rows[:, 1], rows[:, 3] = LABELS.index(link.upper), LABELS.index(link.lower)
        edges.append(rows)
        link_of_edge.append(np.full(len(rows), number))
    return np.concatenate(edges), np.concatenate(link_of_edge)


def _end_scores(
    points: FloatArray,
    inside: Inside | None,
    links: Sequence[Link],
    config: SequenceConfig,
) -> tuple[FloatArray, FloatArray]:
    """(n, labels) score of beginning and of ending a chain at every place with every label."""
    start = np.full((len(points), len(LABELS)), -config.start_cost)
    end = np.zeros_like(start)
    if inside is None:
        return start, end
    for link in links:
        if link.is_usual and not link.skipped:
            above, below = LABELS.index(link.lower), LABELS.index(link.upper)
            start[inside(points - ROOM * link.mean_mm), above] -= config.open_end_cost
            end[inside(points + ROOM * link.mean_mm), below] -= config.open_end_cost
    return start, end


def without_variants(chains: ChainGraph) -> ChainGraph:
    """Only the chains of twelve thoracic and five lumbar vertebrae."""
    graph = chains.graph
    usual = np.array([link.is_usual for link in chains.links])[chains.link_of_edge]
    start = graph.start.copy()
    start[:, np.isin(STATES, RARE)] = FORBIDDEN
    fewer = replace(
        graph,
        start=start,
        edges=graph.edges[usual],
        link=graph.link[:, usual],
    )
    return replace(chains, graph=fewer, link_of_edge=chains.link_of_edge[usual])
