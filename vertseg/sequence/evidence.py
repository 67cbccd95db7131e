"""What the heatmaps say for a vertebra at every place, and for every label there.

The score of a node is the logarithm of how much better a vertebra with this label explains the
heatmaps at the place than a false alarm does: the log odds of a vertebra given the mass of all
channels there, and the log likelihood of what the channels say given the label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of
from vertseg.sequence.config import SequenceConfig

STATES = ORDER_CRANIAL_TO_CAUDAL
"""Labels by state number, from the head downwards."""


def place_mass(scores: FloatArray, config: SequenceConfig) -> FloatArray:
    """(N,) how sure the heatmaps are that some vertebra is at each place, from 0 to 1.

    Args:
        scores: (N, L) value of every channel.
        config: see `SequenceConfig.shared_mass_weight`.
    """
    strongest = scores.max(1, initial=0)
    shared = scores.sum(1) - strongest
    mass: FloatArray = np.minimum(strongest + config.shared_mass_weight * shared, 1.0)
    return mass


def presence(mass: FloatArray, config: SequenceConfig) -> FloatArray:
    """(N,) log odds of a vertebra against a false alarm, given the mass (N,) of each place."""
    log_odds: FloatArray = config.presence_slope * np.log(
        np.maximum(mass, 1e-6) / config.presence_reference
    )
    return log_odds


def explained_share(
    scores: FloatArray, channel_labels: Sequence[int], chosen: Mapping[int, int]
) -> float:
    """Share of what the heatmaps say at all places that a chain agrees with, a level more or less.

    Args:
        scores: (N, L) value of every channel at every place, not negative.
        channel_labels: (L,) label of every channel.
        chosen: place -> label, for the places of the chain.
    """
    channels = np.array([_position(label) for label in channel_labels])
    labels = np.array([_position(label) for label in chosen.values()])
    agrees = np.abs(labels[:, None] - channels) <= 1
    return float(scores[list(chosen)][agrees].sum() / scores.sum())


def node_scores(
    scores: FloatArray, channel_labels: Sequence[int], config: SequenceConfig
) -> FloatArray:
    """(N, states) log evidence for every label at every place.

    Args:
        scores: (N, L) value of every channel at every place, not negative.
        channel_labels: (L,) label of every channel.
        config: weights.
    """
    claims = scores + config.score_floor
    claims = claims / claims.sum(1, keepdims=True)
    likelihood = claims @ confusion(channel_labels, config).T
    present = presence(place_mass(scores, config), config)
    evidence: FloatArray = present[:, None] + np.log(len(channel_labels) * likelihood)
    return evidence


def confusion(channel_labels: Sequence[int], config: SequenceConfig) -> FloatArray:
    """(states, L) probability that the network claims a channel's label given the true label."""
    distance = np.abs(
        np.array([_position(label) for label in STATES])[:, None]
        - np.array([_position(label) for label in channel_labels])
    )
    weights = np.exp(-distance / config.confusion_levels) + config.confusion_floor
    normalised: FloatArray = weights / weights.sum(1, keepdims=True)
    return normalised


def _position(label: int) -> float:
    """Place in the order of a spine without variants; T13 lies midway between T12 and L1."""
    return label_of("T12") + 0.5 if label == label_of("T13") else float(label)
