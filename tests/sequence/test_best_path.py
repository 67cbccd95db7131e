"""The dynamic programme against enumeration of every path on small graphs."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from vertseg.sequence.best_path import Graph, best_paths, best_score, score_bound

Nodes = tuple[tuple[int, int], ...]


def random_graph(
    rng: np.random.Generator, places: int, kinds: int, modes: int, poses: int
) -> Graph:
    rows = [
        (a, s, b, t)
        for a in range(places)
        for b in range(a + 1, places)
        for s in range(kinds)
        for t in range(kinds)
        if rng.random() < 0.6
    ]
    rows += rows[:3]  # parallel edges are allowed
    edges = np.array(rows, int).reshape(-1, 4)
    link = rng.normal(0, 3, (poses, len(edges)))
    link[rng.random(link.shape) < 0.2] = -np.inf
    states = kinds * modes
    return Graph(
        node=rng.normal(0, 2, (places, states)),
        start=rng.normal(-1, 1, (places, states)),
        end=rng.normal(-1, 1, (places, states)),
        edges=edges,
        link=link,
        change=rng.normal(0, 1, (modes, modes)),
        pose=rng.normal(0, 1, poses),
    )


def every_path(graph: Graph) -> Iterator[tuple[Nodes, tuple[int, ...], int, float]]:
    """All paths in all poses, with their scores summed part by part."""

    def extend(nodes: Nodes, edges: tuple[int, ...], score: float) -> Iterator[tuple]:
        yield nodes, edges, score
        kind, mode = divmod(nodes[-1][1], len(graph.change))
        for number, (a, s, b, t) in enumerate(graph.edges):
            link = graph.link[pose, number]
            if (a, s) == (nodes[-1][0], kind) and np.isfinite(link):
                for after, change in enumerate(graph.change[mode]):
                    state = int(t) * len(graph.change) + after
                    gain = link + change + graph.node[b, state]
                    yield from extend((*nodes, (int(b), state)), (*edges, number), score + gain)

    for pose in range(len(graph.pose)):
        for place, state in np.ndindex(*graph.node.shape):
            first = graph.pose[pose] + graph.start[place, state] + graph.node[place, state]
            for nodes, edges, score in extend(((place, state),), (), first):
                yield nodes, edges, pose, score + graph.end[nodes[-1]]


@pytest.mark.parametrize("seed", range(12))
def test_best_path_through_every_node_equals_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, places=4, kinds=2, modes=2, poses=2)
    paths = list(every_path(graph))
    solved = best_paths(graph)
    for place, state in np.ndindex(*graph.node.shape):
        passing = [path for path in paths if (place, state) in path[0]]
        nodes, edges, pose, score = max(passing, key=lambda path: path[3])
        found = solved.path_through(place, state)
        assert found.score == pytest.approx(score)
        assert solved.through[place, state] == pytest.approx(score)
        assert (found.nodes, found.pose) == (nodes, pose)
        np.testing.assert_array_equal(graph.edges[list(found.edges)], graph.edges[list(edges)])
    best = max(path[3] for path in paths)
    assert best_score(graph) == pytest.approx(best)
    assert score_bound(graph) >= best - 1e-9


def test_a_single_place_is_a_path() -> None:
    graph = Graph(
        node=np.array([[1.0, 2.0]]),
        start=np.zeros((1, 2)),
        end=np.zeros((1, 2)),
        edges=np.zeros((0, 4), int),
        link=np.zeros((1, 0)),
        change=np.zeros((2, 2)),
        pose=np.zeros(1),
    )
    path = best_paths(graph).path_through(0, 1)
    assert (path.nodes, path.edges, path.score) == (((0, 1),), (), 2.0)


def test_bad_graphs_are_refused() -> None:
    rng = np.random.default_rng(0)
    graph = random_graph(rng, places=3, kinds=2, modes=1, poses=1)
    with pytest.raises(ValueError, match="lower to a higher"):
        best_paths(replace(graph, edges=graph.edges[:, [2, 1, 0, 3]]))
    with pytest.raises(ValueError, match="at least one place"):
        best_paths(replace(graph, node=graph.node[:0], edges=graph.edges[:0]))
