"""Made-up places and scores, as a network that is sure, unsure or wrong of levels would give them.

``python -m tests.support.spine_simulation [--data FOLDER]`` prints how the solver fares; its
defaults were chosen with these figures.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.sequence.config import SequenceConfig
from vertseg.sequence.offsets import load_statistics
from vertseg.sequence.solve import SequenceResult, solve_sequence
from vertseg.training.data.course_tables import read_courses

CHANNELS = 25
ANCHORS = {1, 2, 19, 20, 24, 25}
Course = dict[int, np.ndarray]


@dataclass(frozen=True)
class Noise:
    """How wrong the imagined network is; probabilities and spreads."""

    presence: tuple[float, float] = (0.75, 1.0)
    spread_levels: tuple[float, float] = (0.15, 0.5)
    anchor_spread_levels: float = 0.2
    run_shifted: float = 0.15
    longest_run: int = 5
    missing: float = 0.01
    cut_off: float = 0.5
    doubled: float = 0.05
    false_alarms: float = 2.0
    jitter_mm: float = 1.5


MILD = Noise()
MEDIUM = Noise((0.5, 0.95), (0.3, 1.0), 0.3, 0.5, 7, 0.03, 0.5, 0.1, 4.0, 2.0)
HARD = Noise((0.25, 0.9), (0.5, 1.5), 0.5, 0.9, 10, 0.06, 0.5, 0.15, 8.0, 2.5)


@dataclass(frozen=True, eq=False)
class Scene:
    """Input of the solver and the truth: place number -> label of the vertebrae that are there."""

    points: np.ndarray
    scores: np.ndarray
    truth: dict[int, int]
    missed: set[int]
    z_limits: tuple[float, float]

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Which points (n, 3) the image shows."""
        low, high = self.z_limits
        return (points[:, 2] > low) & (points[:, 2] < high)


def mean_course(labels: Sequence[int]) -> np.ndarray:
    """(n, 3) places of a mean spine, LPS mm."""
    neighbours = load_statistics().neighbours
    steps = [neighbours[pair].mean_mm for pair in zip(labels, labels[1:], strict=False)]
    return np.cumsum([np.zeros(3), *steps], axis=0)


def draw_course(rng: np.random.Generator, labels: Sequence[int]) -> Course:
    """A spine with these labels, from the stored statistics."""
    statistics = load_statistics()
    scale, tilt = rng.normal(1, statistics.scale_sd), np.radians(rng.normal(0, 6))
    rotation = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    points = {labels[0]: rng.normal(0, 30, 3)}
    for upper, lower in zip(labels, labels[1:], strict=False):
        offset = statistics.neighbours[upper, lower]
        step = rng.multivariate_normal(offset.mean_mm, 0.5 * offset.covariance_mm2)
        points[lower] = points[upper] + scale * rotation @ step
    return points


def simulate(rng: np.random.Generator, course: Course, noise: Noise, channels: int = 25) -> Scene:
    """What the network would say of this course, which is all that the image shows."""
    labels = [label for label in ORDER_CRANIAL_TO_CAUDAL if label in course]
    ranks = np.arange(len(labels)) + _first_rank(labels)
    shift = np.zeros(len(labels))
    if rng.random() < noise.run_shifted:
        length = rng.integers(1, min(noise.longest_run, (len(labels) + 2) // 3) + 1)
        first = rng.integers(0, len(labels))
        shift[first : first + length] = rng.choice([-2, -1, -1, -1, 1, 1, 1, 2])
        shift[[label in ANCHORS for label in labels]] = 0
    points, scores, truth, missed = [], [], {}, set()
    for label, rank, error in zip(labels, ranks, shift, strict=True):
        if rng.random() < noise.missing:
            missed.add(label)
            continue
        spread = (
            noise.anchor_spread_levels if label in ANCHORS else rng.uniform(*noise.spread_levels)
        )
        weights = np.exp(-np.abs(np.arange(1, channels + 1) - rank - error) / spread)
        weights *= np.exp(rng.normal(0, 0.3, channels))
        score = rng.uniform(*noise.presence) * weights / weights.sum()
        truth[len(points)] = label
        points.append(course[label] + rng.normal(0, noise.jitter_mm, 3))
        scores.append(np.where(score > 0.05, score, 0))
    low = np.min(list(course.values()), 0) - (60, 80, 10)
    high = np.max(list(course.values()), 0) + (60, 60, 10)
    for point, claim in _beyond(course, labels, channels):
        if rng.random() < noise.cut_off:
            points.append(point + rng.normal(0, noise.jitter_mm, 3))
            scores.append(rng.uniform(0.05, 0.35) * np.eye(channels)[claim - 1])
    for place in [place for place in truth if rng.random() < noise.doubled]:
        points.append(
            points[place] + np.array([0, 0, rng.choice([-1, 1]) * rng.uniform(8.0, 12.0)])
        )
        scores.append(rng.uniform(0.2, 0.6) * scores[place])
    for _ in range(rng.poisson(noise.false_alarms)):
        score = np.zeros(channels)
        score[rng.integers(channels)] = rng.uniform(0.05, 0.3)
        points.append(rng.uniform(low, high))
        scores.append(score)
    return Scene(
        np.array(points).reshape(-1, 3),
        np.array(scores).reshape(-1, channels),
        truth,
        missed,
        (float(low[2]), float(high[2])),
    )


def _beyond(course: Course, labels: Sequence[int], channels: int) -> list[tuple[np.ndarray, int]]:
    """What is partly visible above and below: the next vertebrae, S1 (which looks like L5)."""
    first, last = labels[0], labels[-1]
    above = 2 * course[first] - course[labels[1]], max(first - 1, 1)
    below = 2 * course[last] - course[labels[-2]], last + 1 if last < 24 else 24
    return [(point, min(claim, channels)) for point, claim in (above, below)]


def _first_rank(labels: Sequence[int]) -> int:
    """Rank of the first label as the network counts: C1 is 1, L1 is 20."""
    return labels[0] if labels[0] != 28 else 19


def crop(rng: np.random.Generator, course: Course, fewest: int = 4, most: int = 20) -> Course:
    """A field of view: consecutive vertebrae of a course."""
    labels = [label for label in ORDER_CRANIAL_TO_CAUDAL if label in course]
    count = min(int(rng.integers(fewest, most + 1)), len(labels))
    first = int(rng.integers(0, len(labels) - count + 1))
    return {label: course[label] for label in labels[first : first + count]}


def compare(scene: Scene, result: SequenceResult) -> dict[str, int]:
    """Numbers of right, mislabelled, invented and overlooked vertebrae."""
    found = {vertebra.place: vertebra.label for vertebra in result.vertebrae}
    right = sum(found.get(place) == label for place, label in scene.truth.items())
    invented = sum(place not in scene.truth for place in found)
    return {
        "right": right,
        "mislabelled": len(found) - invented - right,
        "invented": invented,
        "overlooked": sum(place not in found for place in scene.truth),
    }


def summarise(
    scenes: Sequence[Scene], config: SequenceConfig | None = None, with_limits: bool = True
) -> dict[str, float]:
    """Rates over all vertebrae of many scenes.

    ``cases_mislabelled`` is the rate of scenes with a wrong label, ``flagged`` how many of them are
    reported as a possible level shift, ``false_flags`` how many of the others.
    """
    results = []
    for scene in scenes:
        inside = scene.inside if with_limits else None
        result = solve_sequence(scene.points, scene.scores, inside=inside, config=config)
        results.append((compare(scene, result), result.level_shift_possible))
    total = max(sum(len(scene.truth) for scene in scenes), 1)
    rates = {name: sum(counts[name] for counts, _ in results) / total for name in results[0][0]}
    bad = [flag for counts, flag in results if counts["mislabelled"]]
    good = [flag for counts, flag in results if not counts["mislabelled"]]
    rates["cases_mislabelled"] = len(bad) / len(scenes)
    rates["flagged"] = float(np.mean(bad)) if bad else float("nan")
    rates["false_flags"] = float(np.mean(good)) if good else float("nan")
    return rates


def plain_maximum(scenes: Sequence[Scene]) -> float:
    """Rate of right labels without any solver: every place takes its strongest channel."""
    pairs = [
        (scene.scores[place].argmax() + 1, label)
        for scene in scenes
        for place, label in scene.truth.items()
    ]
    return float(np.mean([claim == label for claim, label in pairs]))


def main() -> None:
    """Print the figures for the three kinds of networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with real courses; made-up ones if none")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="tunables")
    options = parser.parse_args()
    changes = {name: float(value) for name, value in (item.split("=") for item in options.set)}
    config = replace(SequenceConfig(), **changes)  # type: ignore[arg-type]
    for name, noise in (("mild", MILD), ("medium", MEDIUM), ("hard", HARD)):
        rng = np.random.default_rng(7)
        if options.data:
            real = [course.points_lps_mm for course in read_courses(options.data)]
            long = [course for course in real if len(course) >= 12]
            pick = [
                long[i] if rng.random() < 0.6 else real[i]
                for i in rng.integers(0, len(long), options.count)
            ]
        else:
            pick = [draw_course(rng, range(1, 25)) for _ in range(options.count)]
        scenes = [simulate(rng, crop(rng, course), noise) for course in pick]
        figures = summarise(scenes, config)
        text = "  ".join(f"{key} {value:.4f}" for key, value in figures.items())
        print(f"{name:7s} plain {plain_maximum(scenes):.4f}  {text}")


if __name__ == "__main__":
    main()
