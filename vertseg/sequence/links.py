"""How vertebrae follow each other: which labels, and how likely an offset is.

The score of an edge is the log density of the offset between two places, given the levels and the
size and tilt of the body, relative to a typical offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from vertseg.geometry.grid import FloatArray, IntArray
from vertseg.labels import label_of
from vertseg.sequence.config import SequenceConfig
from vertseg.sequence.offsets import SKIPS, VARIANTS, OffsetStatistics

MEDIAN_SQUARED_DISTANCE = 2.4
"""Median of the squared Mahalanobis distance of a three-dimensional normal offset."""

NEIGHBOUR_CORRELATION = 0.8
"""Correlation of the deviations of successive offsets, from their spread over two of them."""

_T13, _L6 = label_of("T13"), label_of("L6")


@dataclass(frozen=True, eq=False)
class Link:
    """One way for two vertebrae to follow each other in a chain.

    Attributes:
        upper: label.
        lower: label.
        skipped: labels of vertebrae between them that were not detected.
        mean_mm: (3,) offset at scale 1, LPS.
        covariance_mm2: (3, 3).
        score: log probability of the numbering and of the missed detections.
    """

    upper: int
    lower: int
    skipped: tuple[int, ...]
    mean_mm: FloatArray
    covariance_mm2: FloatArray
    score: float

    @property
    def is_variant(self) -> bool:
        """Whether this link is where a spine with a numbering variant differs from others."""
        return (self.upper, self.lower) in VARIANTS and self.upper != _T13

    @property
    def is_usual(self) -> bool:
        """Whether spines of twelve thoracic and five lumbar vertebrae have this link."""
        rare = {_T13, _L6} & {self.upper, self.lower}
        return not rare and (self.upper, self.lower) not in VARIANTS


@dataclass(frozen=True, eq=False)
class Poses:
    """Sizes and tilts of the body that are tried; Q = scales x rotations.

    Attributes:
        scales: (A,) relative sizes.
        rotations: (B, 3, 3) rotation of the spine as a whole, acting on columns in LPS.
        score: (A, B) log probability of each combination, up to a constant.
    """

    scales: FloatArray
    rotations: FloatArray
    score: FloatArray


@lru_cache(maxsize=4)
def build_links(statistics: OffsetStatistics, config: SequenceConfig) -> list[Link]:
    """All ways in which vertebrae may follow each other, at most `maximum_skipped` missing."""
    priors = statistics.variant_priors
    noise = 2 * config.localisation_sd_mm**2 * np.eye(3)
    share = config.residual_variance

    def link(chain: tuple[int, ...], mean_mm: FloatArray, covariance_mm2: FloatArray) -> Link:
        score = sum(_step_score(a, b, priors) for a, b in pairwise(chain))
        skipped = chain[1:-1]
        if skipped:
            score -= config.skip_cost + config.further_skip_cost * (len(skipped) - 1)
        return Link(chain[0], chain[-1], skipped, mean_mm, share * covariance_mm2 + noise, score)

    links = [link(pair, o.mean_mm, o.covariance_mm2) for pair, o in statistics.neighbours.items()]
    if config.maximum_skipped >= 1:
        for (a, b), offset in statistics.skips.items():
            links.append(link((a, SKIPS[a, b], b), offset.mean_mm, offset.covariance_mm2))
    for steps in range(3, config.maximum_skipped + 2):
        for first in range(1, label_of("L5") + 1 - steps):
            chain = tuple(range(first, first + steps + 1))
            parts = [statistics.neighbours[pair] for pair in pairwise(chain)]
            covariance = np.sum([part.covariance_mm2 for part in parts], axis=0)
            covariance *= 1 + (steps - 1) * NEIGHBOUR_CORRELATION
            links.append(link(chain, np.sum([part.mean_mm for part in parts], 0), covariance))
    return links


def _step_score(upper: int, lower: int, priors: dict[str, float]) -> float:
    """Log probability that ``lower`` is the next vertebra below ``upper``."""
    c6, t11, t12, l5 = (label_of(name) for name in ("C6", "T11", "T12", "L5"))
    variants = {
        (c6, label_of("T1")): priors["no C7"],
        (t11, label_of("L1")): priors["no T12"],
        (t12, _T13): priors["T13"],
        (l5, label_of("L6")): priors["L6"],
    }
    if (upper, lower) in variants:
        return float(np.log(variants[upper, lower]))
    others = sum(prior for (start, _), prior in variants.items() if start == upper)
    return float(np.log1p(-others))


@lru_cache(maxsize=4)
def build_poses(statistics: OffsetStatistics, config: SequenceConfig) -> Poses:
    """The grid of sizes and tilts, with how likely they are."""
    low, high = np.log(config.scale_limits)
    count = round((high - low) / config.scale_step) + 1
    log_scales = np.linspace(low, high, count)
    sagittal, coronal = np.meshgrid(
        np.radians(config.sagittal_tilts_deg), np.radians(config.coronal_tilts_deg)
    )
    tilts = np.stack([sagittal.ravel(), coronal.ravel()], 1)
    limit = config.pose_cost_limit
    spread = np.radians([config.sagittal_tilt_sd_deg, config.coronal_tilt_sd_deg])
    scale_cost = np.minimum(0.5 * (log_scales / statistics.scale_sd) ** 2, limit)
    tilt_cost = np.minimum(0.5 * (tilts / spread) ** 2, limit).sum(1)
    return Poses(
        np.exp(log_scales),
        np.array([_rotation(*angles) for angles in tilts]),
        -scale_cost[:, None] - tilt_cost,
    )


def _rotation(sagittal: float, coronal: float) -> FloatArray:
    """Rotation about x (left), then about y (posterior), of columns in LPS."""
    c, s = np.cos(sagittal), np.sin(sagittal)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(coronal), np.sin(coronal)
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    rotation: FloatArray = about_y @ about_x
    return rotation


def link_scores(
    offsets_mm: FloatArray,
    which: IntArray,
    links: Sequence[Link],
    poses: Poses,
    config: SequenceConfig,
) -> tuple[IntArray, FloatArray]:
    """Score of every edge in every pose.

    The log density of a multivariate Student distribution, relative to a typical offset.

    Args:
        offsets_mm: (E, 3) lower minus upper place, LPS.
        which: (E,) number of the link that each edge uses.
        links: all links.
        poses: sizes and tilts.
        config: limits and weights.

    Returns:
        (K,) ascending numbers of the edges that reach `minimum_link` in some pose; and their
        (A * B, K) scores, minus infinity below it.
    """
    means = np.array([link.mean_mm for link in links])
    precisions = np.linalg.inv([link.covariance_mm2 for link in links])
    log_norm = 0.5 * np.linalg.slogdet(precisions)[1]
    direct = [not link.skipped for link in links]
    power = 0.5 * (config.tail_freedom + 3)
    typical = log_norm[direct].mean()
    typical -= power * np.log1p(MEDIAN_SQUARED_DISTANCE / config.tail_freedom)
    constant = log_norm - typical + [link.score for link in links] + config.link_bonus
    lengths, usual = np.linalg.norm(offsets_mm, axis=1), np.linalg.norm(means, axis=1)[which]
    shortest, longest = config.distance_ratios

    # Squared Mahalanobis distance of offset / scale: a / scale^2 - 2 b / scale + c.
    rotated = offsets_mm @ poses.rotations  # (B, E, 3)
    weighted = (rotated.transpose(1, 0, 2) @ precisions[which]).transpose(1, 0, 2)
    a = np.einsum("bei,bei->be", weighted, rotated)
    b = np.einsum("bei,ei->be", weighted, means[which])
    c = np.einsum("li,lij,lj->l", means, precisions, means)[which]

    def scores_at(inverse_scale: FloatArray) -> FloatArray:
        squared = (a * inverse_scale - twice_b) * inverse_scale + c
        fit = -power * np.log1p(np.maximum(squared, 0, out=squared) / config.tail_freedom)
        return fit + offset + 3 * np.log(inverse_scale)

    closest = np.clip(b / a, 1 / poses.scales.max(), 1 / poses.scales.min())
    slack = 3 * np.log(poses.scales.max() / poses.scales.min())
    twice_b, offset = 2 * b, constant[which]
    kept = np.flatnonzero(scores_at(closest).max(0) + slack >= config.minimum_link)
    a, twice_b, c, offset = a[:, kept], twice_b[:, kept], c[kept], offset[kept]
    scores = np.empty((len(poses.scales), len(a), len(kept)))
    for number, scale in enumerate(poses.scales):
        scores[number] = scores_at(1 / scale)
    usual = usual[kept] * poses.scales[:, None]
    tolerance = config.distance_tolerance_mm
    outside = lengths[kept] + tolerance < shortest * usual
    outside |= lengths[kept] - tolerance > longest * usual
    scores[np.broadcast_to(outside[:, None], scores.shape)] = -np.inf
    scores[scores < config.minimum_link] = -np.inf
    existing = np.isfinite(scores).any((0, 1))
    return kept[existing], scores[..., existing].reshape(poses.score.size, -1)
