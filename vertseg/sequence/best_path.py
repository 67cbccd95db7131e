"""Best paths through a directed graph of (place, state) nodes, by dynamic programming.

Places are numbered so that every edge leads from a lower to a higher number; a path therefore uses
no place twice. A state is a kind and a mode: edges lead from kind to kind, and on each of them the
mode may change, at a cost that is the same everywhere. The same graph is solved for several poses
at once (the size and tilt of the body), which change the scores of the edges only; a path belongs
to one pose.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

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
        edges: (E, 4) integers: from place, from kind, to place, to kind; from place < to place.
        link: (Q, E) in every pose; minus infinity where it does not exist.
        change: (A, A) of the mode at the end of an edge (column) after that at its beginning (row);
            state ``s`` is kind ``s // A`` in mode ``s % A``.
        pose: (Q,) of every pose.
    """

    node: FloatArray
    start: FloatArray
    end: FloatArray
    edges: IntArray
    link: FloatArray
    change: FloatArray
    pose: FloatArray


@dataclass(frozen=True, eq=False)
class BestPaths:
    """For every node the best path that begins, ends and passes there.

    Attributes:
        graph: what was solved.
        until: (N, S, Q) score of the best path that ends with this node, without `Graph.end`.
        since: (N, S, Q) score of the best path that begins with it, without `Graph.start`.
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
        node = (place, state)
        above, upper = _trace(node, self.until[..., pose], self.graph, pose)
        below, lower = _trace(node, self.since[..., pose], _reversed(self.graph), pose)
        nodes = (*upper[::-1], node, *lower)
        return Path(nodes, (*above[::-1], *below), pose, float(self.through[place, state]))


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
    until = _sweep(graph, places)
    since = _sweep(_reversed(graph), reversed(places))
    through = until + since - graph.node[..., None] + graph.pose
    return BestPaths(graph, until, since, through.max(-1), through.argmax(-1))


def best_score(graph: Graph) -> float:
    """That of the best path, without the path itself."""
    until = _sweep(graph, range(len(graph.node)))
    return float((until + graph.end[..., None] + graph.pose).max())


def score_bound(graph: Graph) -> float:
    """At least `best_score`, in a fraction of its time: every edge has the pose that suits it."""
    link, pose = graph.link.max(0, keepdims=True), graph.pose.max(keepdims=True)
    return best_score(replace(graph, link=link, pose=pose))


def _reversed(graph: Graph) -> Graph:
    """The same paths in the opposite direction of travel."""
    edges, change = graph.edges[:, [2, 3, 0, 1]], graph.change.T
    return replace(graph, start=graph.end, end=graph.start, edges=edges, change=change)


def _sweep(graph: Graph, order: Iterable[int]) -> FloatArray:
    """(N, S, Q) best score of reaching every node.

    Poses lie beside each other in memory, so that what is looked up is a row of them. The best mode
    before an edge is sought once for each place and kind, not once for each edge.
    """
    modes, poses = len(graph.change), len(graph.pose)
    reached = np.repeat((graph.node + graph.start)[..., None], poses, axis=2)
    by_kind = reached.reshape(len(graph.node), -1, modes, poses)
    node = graph.node.reshape(by_kind.shape[:3])
    onwards = np.empty_like(by_kind)  # the same with the mode after the next edge
    links = np.ascontiguousarray(graph.link.T)
    by_target = np.lexsort((graph.edges[:, 3], graph.edges[:, 2]))
    bounds = np.searchsorted(graph.edges[by_target, 2], np.arange(len(graph.node) + 1))
    for place in order:
        incoming = by_target[bounds[place] : bounds[place + 1]]
        if len(incoming):
            from_place, from_kind, _, to_kind = graph.edges[incoming].T
            values = onwards[from_place, from_kind]
            values += links[incoming, None]
            kinds, groups = np.unique(to_kind, return_index=True)
            best = np.maximum.reduceat(values, groups, axis=0) + node[place, kinds, :, None]
            by_kind[place, kinds] = np.maximum(by_kind[place, kinds], best)
        for after, change in enumerate(graph.change.T):
            onwards[place, :, after] = (by_kind[place] + change[:, None]).max(axis=1)
    return reached


def _trace(
    node: tuple[int, int], reached: FloatArray, graph: Graph, pose: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """Edges and nodes from a node back to where its best path began, the last ones first."""
    modes = len(graph.change)
    edges: list[int] = []
    nodes: list[tuple[int, int]] = []
    place, state = node
    while True:
        kind, mode = divmod(state, modes)
        incoming = np.flatnonzero((graph.edges[:, 2] == place) & (graph.edges[:, 3] == kind))
        from_place, from_kind = graph.edges[incoming, :2].T
        before = reached.reshape(len(reached), -1, modes)[from_place, from_kind]
        values = before + graph.change[:, mode] + graph.link[pose, incoming, None]
        if not values.size or values.max() <= graph.start[place, state]:
            return edges, nodes
        row, mode = np.unravel_index(values.argmax(), values.shape)
        place, state = int(from_place[row]), int(from_kind[row] * modes + mode)
        edges.append(int(incoming[row]))
        nodes.append((place, state))
