"""What a chain of vertebrae is worth: evidence at its places, offsets between them.

The score of a chain is the logarithm of how much better it explains the places than false alarms
do. At every place it adds the log odds of a vertebra given the mass of the heatmaps there, and the
log likelihood of what the channels say given the label. For every pair of neighbours it adds the
log density of their offset, given the level and the size and tilt of the body, relative to a
typical offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of
from vertseg.offset_table import SKIPS, VARIANTS
from vertseg.sequence_config import SequenceConfig
from vertseg.statistics import Offset, OffsetStatistics

STATES = ORDER_CRANIAL_TO_CAUDAL
"""Labels by state number, from the head downwards."""

MEDIAN_SQUARED_DISTANCE = 2.4
"""Median of the squared Mahalanobis distance of a three-dimensional normal offset."""

_T13 = label_of("T13")


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
    mean_mm: np.ndarray
    covariance_mm2: np.ndarray
    score: float

    @property
    def is_variant(self) -> bool:
        """Whether only a spine with a numbering variant has this link."""
        return (self.upper, self.lower) in VARIANTS and self.upper != _T13


@dataclass(frozen=True, eq=False)
class Poses:
    """Sizes and tilts of the body that are tried; Q = scales x rotations.

    Attributes:
        scales: (A,) relative sizes.
        rotations: (B, 3, 3) rotation of the spine as a whole, acting on columns in LPS.
        score: (A, B) log probability of each combination, up to a constant.
    """

    scales: np.ndarray
    rotations: np.ndarray
    score: np.ndarray


def place_mass(scores: np.ndarray, config: SequenceConfig) -> np.ndarray:
    """(N,) how sure the heatmaps are that some vertebra is at each place, from 0 to 1.

    Args:
        scores: (N, L) value of every channel.
        config: see `SequenceConfig.shared_mass_weight`.
    """
    strongest = scores.max(1, initial=0)
    shared = scores.sum(1) - strongest
    mass: np.ndarray = np.minimum(strongest + config.shared_mass_weight * shared, 1.0)
    return mass


def node_scores(
    scores: np.ndarray, channel_labels: Sequence[int], config: SequenceConfig
) -> np.ndarray:
    """(N, states) log evidence for every label at every place.

    Args:
        scores: (N, L) value of every channel at every place, not negative.
        channel_labels: (L,) label of every channel.
        config: weights.
    """
    mass = np.maximum(place_mass(scores, config), 1e-6)
    presence = config.presence_slope * np.log(mass / config.presence_reference)
    claims = scores + config.score_floor
    claims = claims / claims.sum(1, keepdims=True)
    likelihood = claims @ confusion(channel_labels, config).T
    evidence: np.ndarray = presence[:, None] + np.log(len(channel_labels) * likelihood)
    return evidence


def confusion(channel_labels: Sequence[int], config: SequenceConfig) -> np.ndarray:
    """(states, L) probability that the network claims a channel's label given the true label."""
    distance = np.abs(
        np.array([_position(label) for label in STATES])[:, None]
        - np.array([_position(label) for label in channel_labels])
    )
    anchored = np.isin(channel_labels, config.anchor_labels)
    levels = np.where(anchored, config.anchor_confusion_levels, config.confusion_levels)
    weights = np.exp(-distance / levels) + config.confusion_floor
    normalised: np.ndarray = weights / weights.sum(1, keepdims=True)
    return normalised


def _position(label: int) -> float:
    """Place in the order of a spine without variants; T13 lies midway between T12 and L1."""
    return label_of("T12") + 0.5 if label == _T13 else float(label)


def build_links(statistics: OffsetStatistics, config: SequenceConfig) -> list[Link]:
    """All ways in which vertebrae may follow each other, at most `maximum_skipped` missing."""
    priors = statistics.variant_priors
    noise = 2 * config.localisation_sd_mm**2 * np.eye(3)
    share = config.residual_variance

    def link(upper: int, lower: int, skipped: tuple[int, ...], offset: Offset) -> Link:
        chain = (upper, *skipped, lower)
        score = sum(_step_score(a, b, priors) for a, b in pairwise(chain))
        score -= config.skip_cost * len(skipped)
        return Link(
            upper, lower, skipped, offset.mean_mm, share * offset.covariance_mm2 + noise, score
        )

    links = [link(a, b, (), offset) for (a, b), offset in statistics.neighbours.items()]
    if config.maximum_skipped >= 1:
        for (a, b), offset in statistics.skips.items():
            links.append(link(a, b, (SKIPS[a, b],), offset))
    if config.maximum_skipped >= 2:
        for a in range(1, label_of("L3")):
            first = statistics.skips[a, a + 2]
            offset = _joined(first, statistics.neighbours[a + 2, a + 3])
            links.append(link(a, a + 3, (a + 1, a + 2), offset))
    return links


def _joined(first: Offset, second: Offset) -> Offset:
    """Offset over two links in a row; their deviations are correlated (posture)."""
    covariance = 1.5 * (first.covariance_mm2 + second.covariance_mm2)
    return Offset(first.mean_mm + second.mean_mm, covariance, 0)


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


def _rotation(sagittal: float, coronal: float) -> np.ndarray:
    """Rotation about x (left), then about y (posterior), of columns in LPS."""
    c, s = np.cos(sagittal), np.sin(sagittal)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(coronal), np.sin(coronal)
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    rotation: np.ndarray = about_y @ about_x
    return rotation


def link_scores(
    offsets_mm: np.ndarray,
    which: np.ndarray,
    links: Sequence[Link],
    poses: Poses,
    config: SequenceConfig,
) -> np.ndarray:
    """(A * B, E) score of every edge in every pose; minus infinity below `minimum_link`.

    The log density of a multivariate Student distribution, relative to a typical offset.

    Args:
        offsets_mm: (E, 3) lower minus upper place, LPS.
        which: (E,) number of the link that each edge uses.
        links: all links.
        poses: sizes and tilts.
        config: limits and weights.
    """
    means = np.array([link.mean_mm for link in links])[which]
    roots = np.linalg.cholesky([np.linalg.inv(link.covariance_mm2) for link in links])
    log_norm = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(1)
    direct = [not link.skipped for link in links]
    freedom = config.tail_freedom
    power = 0.5 * (freedom + 3)
    typical = log_norm[direct].mean() - power * np.log1p(MEDIAN_SQUARED_DISTANCE / freedom)
    constant = (log_norm - typical + [link.score for link in links])[which] + config.link_bonus
    result = np.empty((len(poses.scales), len(poses.rotations), len(offsets_mm)))
    for number, rotation in enumerate(poses.rotations):
        scaled = (offsets_mm @ rotation) / poses.scales[:, None, None]
        whitened = np.einsum("aei,eij->aej", scaled - means, roots[which])
        fit = -power * np.log1p((whitened**2).sum(-1) / freedom)
        result[:, number] = fit + constant - 3 * np.log(poses.scales)[:, None]
    result[result < config.minimum_link] = -np.inf
    return result.reshape(-1, len(offsets_mm))
