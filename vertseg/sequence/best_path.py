"""Best paths through a directed graph of (place, state) nodes, by dynamic programming.

Places are numbered so that every edge leads from a lower to a higher number; a path therefore uses
no place twice. The same graph is solved for several poses at once (the size and tilt of the body),
which change the scores of the edges only; a path belongs to one pose.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vertseg.geometry.grid import FloatArray, IntArray


@dataclass(frozen=True)
class Path:
    """A path in the order of travel.

    Attributes:
        nodes: (place, state) of every stop.
        edges: row numbers of `Graph.edges`, one fewer than nodes.
        pose: the pose that suits it best.
        score: in nats.
    """

    nodes: tuple[tuple[int, int], ...]
    edges: tuple[int, ...]
    pose: int
    score: float


@dataclass(frozen=True, eq=False)
class Graph:
    """Scores of all parts of a path; they add up. All arrays are float64 or integers.

    Attributes:
        node: (N, S) of visiting a place in a state, finite.
        start: (N, S) of beginning there, finite.
        end: (N, S) of ending there, finite.
        edges: (E, 4) integers: from place, from state, to place, to state; from place < to place.
        link: (Q, K) in every pose; minus infinity where it does not exist.
        link_of_edge: (E,) which column of `link` each edge has; several may share one.
        extra: (E,) what an edge scores besides, whatever the pose.
        pose: (Q,) of every pose.
    """

    node: FloatArray
    start: FloatArray
    end: FloatArray
    edges: IntArray
    link: FloatArray
    link_of_edge: IntArray
    extra: FloatArray
    pose: FloatArray

    def edge_scores(self, rows: IntArray, pose: int | slice = slice(None)) -> FloatArray:
        """(Q, len(rows)), or (len(rows),) in one pose: scores of some edges."""
        scores: FloatArray = self.link[pose][..., self.link_of_edge[rows]] + self.extra[rows]
        return scores


@dataclass(frozen=True, eq=False)
class BestPaths:
    """For every node the best path that begins, ends and passes there.

    Attributes:
        graph: what was solved.
        until: (Q, N, S) score of the best path that ends with this node, without `Graph.end`.
        since: (Q, N, S) score of the best path that begins with it, without `Graph.start`.
        through: (N, S) score of the best path through the node in any pose.
        through_pose: (N, S) that pose.
    """

    graph: Graph
    until: FloatArray
    since: FloatArray
    through: FloatArray
    through_pose: FloatArray

    def path_through(self, place: int, state: int) -> Path:
        """The best of all paths through a node."""
        pose = int(self.through_pose[place, state])
        graph, node = self.graph, (place, state)
        onwards, backwards = graph.edges, graph.edges[:, [2, 3, 0, 1]]
        links = graph.edge_scores(np.arange(len(graph.edges)), pose)
        above = _trace(node, self.until[pose], graph.start, onwards, links)
        below = _trace(node, self.since[pose], graph.end, backwards, links)
        edges = (*above[::-1], *below)
        nodes = [(int(row[0]), int(row[1])) for row in graph.edges[list(edges)]]
        if below:
            nodes.append((int(graph.edges[below[-1], 2]), int(graph.edges[below[-1], 3])))
        else:
            nodes.append(node)
        return Path(tuple(nodes), edges, pose, float(self.through[place, state]))


def best_paths(graph: Graph) -> BestPaths:
    """Solve the graph exactly; time and memory grow with poses times edges.

    Raises:
        ValueError: there is no place, or an edge leads backwards.
    """
    if not len(graph.node):
        raise ValueError("a graph needs at least one place")
    if (graph.edges[:, 0] >= graph.edges[:, 2]).any():
        raise ValueError("every edge must lead from a lower to a higher place number")
    places = range(len(graph.node))
    until = _sweep(graph, graph.start, graph.edges, places)
    since = _sweep(graph, graph.end, graph.edges[:, [2, 3, 0, 1]], reversed(places))
    through = until + since - graph.node + graph.pose[:, None, None]
    return BestPaths(graph, until, since, through.max(0), through.argmax(0))


def _sweep(graph: Graph, first: FloatArray, edges: IntArray, order: Iterable[int]) -> FloatArray:
    """(Q, N, S) best score of reaching every node, in one direction of travel."""
    reached = np.repeat((graph.node + first)[None], len(graph.pose), axis=0)
    by_target = np.lexsort((edges[:, 3], edges[:, 2]))
    bounds = np.searchsorted(edges[by_target, 2], np.arange(len(graph.node) + 1))
    for place in order:
        incoming = by_target[bounds[place] : bounds[place + 1]]
        if not len(incoming):
            continue
        from_place, from_state, _, to_state = edges[incoming].T
        values = reached[:, from_place, from_state] + graph.edge_scores(incoming)
        states, groups = np.unique(to_state, return_index=True)
        best = np.maximum.reduceat(values, groups, axis=1) + graph.node[place, states]
        reached[:, place, states] = np.maximum(reached[:, place, states], best)
    return reached


def _trace(
    node: tuple[int, int],
    reached: FloatArray,
    first: FloatArray,
    edges: IntArray,
    links: FloatArray,
) -> list[int]:
    """Edges from a node back to where its best path began, the last one travelled first."""
    place, state = node
    path: list[int] = []
    while True:
        incoming = np.flatnonzero((edges[:, 2] == place) & (edges[:, 3] == state))
        values = reached[edges[incoming, 0], edges[incoming, 1]] + links[incoming]
        if not len(values) or values.max() <= first[place, state]:
            return path
        path.append(int(incoming[values.argmax()]))
        place, state = edges[path[-1], :2]
