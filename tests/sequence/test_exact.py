"""The solver against an enumeration of all chains, and under noise."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_t

from tests.support.spine_simulation import (
    CHANNELS,
    MEDIUM,
    MILD,
    crop,
    draw_course,
    mean_course,
    plain_maximum,
    simulate,
)
from tests.support.spine_simulation import summarise as summarise_scenes
from vertseg.labels import label_of
from vertseg.sequence.config import SequenceConfig
from vertseg.sequence.evidence import LABELS, LAGS, lag_change, lag_start, node_scores
from vertseg.sequence.links import Link, build_links
from vertseg.sequence.offsets import load_statistics
from vertseg.sequence.solve import Numbering, solve_sequence, with_vertebrae

SINGLE_POSE = SequenceConfig(
    scale_limits=(1.0, 1.0), sagittal_tilts_deg=(0.0,), coronal_tilts_deg=(0.0,)
)


def enumerate_chains(
    points: np.ndarray, scores: np.ndarray, config: SequenceConfig
) -> Iterator[tuple[dict[int, int], float]]:
    """Every chain (place -> label) with its score, written without the solver's own sums."""
    nodes = node_scores(scores, range(1, CHANNELS + 1), config)
    nodes = nodes.reshape(len(points), len(LABELS), len(LAGS))
    change, first_lag = lag_change(config), lag_start(config)[: len(LAGS)]
    links = build_links(load_statistics(), config)
    density = typical_density(links, config)

    densities = {link: student(link, config).logpdf for link in links}

    def edge(link: Link, offset: np.ndarray) -> float:
        steps = len(link.skipped) + 1
        distance = np.linalg.norm(offset)
        low = steps * config.minimum_distance_mm - config.distance_tolerance_mm
        high = steps * config.maximum_distance_mm + config.distance_tolerance_mm
        if offset[2] >= 0 or not low <= distance <= high:
            return -np.inf
        fit = densities[link](offset) - density
        shortest, longest = np.array(config.distance_ratios) * np.linalg.norm(link.mean_mm)
        tolerance = config.distance_tolerance_mm
        if distance + tolerance < shortest or distance - tolerance > longest:
            return -np.inf
        score = float(fit + link.score + config.link_bonus)
        return score if score >= config.minimum_link else -np.inf

    def extend(chain: dict[int, int], score: np.ndarray) -> Iterator[tuple[dict[int, int], float]]:
        """Chains that go on from one, given its best scores with each lag of its last place."""
        yield chain, float(score.max())
        place, label = list(chain.items())[-1]
        for link in links:
            if link.upper != label:
                continue
            for other in range(len(points)):
                gain = edge(link, points[other] - points[place])
                if np.isfinite(gain):
                    after = (score[:, None] + change).max(0) + gain
                    after += nodes[other, LABELS.index(link.lower)]
                    yield from extend({**chain, other: link.lower}, after)

    priors = load_statistics().variant_priors
    rare = {label_of(name): np.log(priors[name]) for name in ("T13", "L6")}
    for place in range(len(points)):
        for number, label in enumerate(LABELS):
            start = rare.get(label, 0.0) - config.start_cost + first_lag
            yield from extend({place: label}, nodes[place, number] + start)


def student(link: Link, config: SequenceConfig) -> multivariate_t:
    return multivariate_t(link.mean_mm, link.covariance_mm2, df=config.tail_freedom)


def typical_density(links: Sequence[Link], config: SequenceConfig) -> float:
    """Mean over the direct links of the log density at the median distance of a normal offset."""
    heights = []
    for link in links:
        if not link.skipped:
            root = np.linalg.cholesky(link.covariance_mm2)
            offset = link.mean_mm + root @ np.array([np.sqrt(2.4), 0, 0])
            heights.append(student(link, config).logpdf(offset))
    return float(np.mean(heights))


@pytest.mark.parametrize("seed", range(6))
def test_chain_and_margins_equal_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = int(rng.choice([3, 17, 22]))
    labels = [label for label in range(first, first + 4) if label <= 25]
    points = mean_course(labels) + rng.normal(0, 2, (len(labels), 3))
    points = np.concatenate([points, points[:1] + rng.normal(0, 15, (1, 3))])
    scores = rng.uniform(0, 0.15, (len(points), CHANNELS))
    for row, label in enumerate(labels):
        scores[row, label - 1 + rng.integers(-1, 2 if label < 25 else 1)] += 0.4
    config = replace(SINGLE_POSE, end_mass=0.0)
    chains = list(enumerate_chains(points, scores, config))
    best, score = max(chains, key=lambda chain: chain[1])
    result = solve_sequence(points, scores, config=config, numbering=Numbering.ANY)
    assert {v.place: v.label for v in result.vertebrae} == best
    assert result.score == pytest.approx(score)
    for vertebra in result.vertebrae:
        rivals = [
            other
            for chain, other in chains
            if chain.get(vertebra.place, vertebra.label) != vertebra.label
        ]
        assert vertebra.margin == pytest.approx(score - max(rivals))
    assert result.margin == pytest.approx(min(v.margin for v in result.vertebrae))
    for part in (slice(1, None), slice(-1), slice(1, -1)):
        kept = result.vertebrae[part]
        if kept:
            margin = min(v.margin for v in kept)
            assert with_vertebrae(result, kept).margin == pytest.approx(margin)
    assert result.rival is not None
    assert any(best.get(place, label) != label for place, label in result.rival.labels.items())
    assert dict(sorted(result.rival.labels.items())) in [dict(sorted(c.items())) for c, _ in chains]


def test_nearly_all_are_right_under_mild_noise() -> None:
    rng = np.random.default_rng(11)
    scenes = [simulate(rng, crop(rng, draw_course(rng, range(1, 25))), MILD) for _ in range(30)]
    figures = summarise_scenes(scenes)
    assert figures["right"] >= 0.98  # one scene of 30 may be a toss-up between two numberings
    assert figures["mislabelled"] + figures["invented"] <= 0.005


def test_the_solver_repairs_most_errors_of_an_unsure_network() -> None:
    rng = np.random.default_rng(12)
    scenes = [
        simulate(rng, crop(rng, draw_course(rng, range(1, 25)), 8), MEDIUM) for _ in range(20)
    ]
    figures = summarise_scenes(scenes)
    assert 1 - figures["right"] <= 0.5 * (1 - plain_maximum(scenes))
    assert figures["mislabelled"] <= 0.05
    assert figures["invented"] <= 0.03
