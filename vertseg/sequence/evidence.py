"""What the heatmaps say for a vertebra at every place, and for every label there.

The score of a node is the logarithm of how much better a vertebra with this label explains the
heatmaps at the place than a false alarm does: the log odds of a vertebra given the mass of all
channels there, and the log likelihood of what the channels say given the label.

The network counts: where it is wrong by a level, it is so for a run of vertebrae. Such a run is one
error, not one for each vertebra in it. A state is therefore a label and a lag, the levels by which
the claims are wrong; the lag is kept from a vertebra to the next, or changes at a cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of
from vertseg.sequence.config import SequenceConfig

LABELS = ORDER_CRANIAL_TO_CAUDAL
"""Labels by number, from the head downwards."""

LAGS = (-1, 0, 1)
"""By how many levels the network may be wrong for a run of vertebrae."""

STATES = tuple(label for label in LABELS for _ in LAGS)
"""Labels by state number: every label with every lag, which varies fastest."""

_ANCHORS = [label_of(name) for name in ("C1", "C2", "L5", "L6")]
_IS_MISNAMED_ANCHOR = np.array(
    [lag != 0 and bool({label, label + lag} & {*_ANCHORS}) for label in LABELS for lag in LAGS]
)
"""Dens and sacrum are in view beside these, so that the network hardly takes others for them."""


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


def evidence_of_mask(channels: int, config: SequenceConfig | None = None) -> float:
    """Score of each of so many channels at a place that a mask found: none tells of its level."""
    config = config or SequenceConfig()
    return config.mask_mass / (1 + config.shared_mass_weight * (channels - 1))


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
    """(N, states) log evidence for every label with every lag at every place.

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
    return evidence - config.anchor_lag_cost * _IS_MISNAMED_ANCHOR


def lag_start(config: SequenceConfig) -> FloatArray:
    """(states,) log probability that the network begins with this lag."""
    return np.tile(np.log(_lag_shares(config)), len(LABELS))


def lag_change(config: SequenceConfig) -> FloatArray:
    """(lags, lags) log probability of a lag (column) given that of the vertebra above (row).

    A chain of Markov in balance: runs with a lag last for `SequenceConfig.lag_run` vertebrae in the
    mean, and are the share `SequenceConfig.lag_share` of all vertebrae.
    """
    share = _lag_shares(config)
    new = share / (config.lag_run * (1 - config.lag_share))
    change = np.tile(new, (len(LAGS), 1))
    np.fill_diagonal(change, 0)
    np.fill_diagonal(change, 1 - change.sum(1))
    logarithms: FloatArray = np.log(change)
    return logarithms


def _lag_shares(config: SequenceConfig) -> FloatArray:
    wrong = config.lag_share
    return np.where(np.array(LAGS) == 0, 1 - 2 * wrong, wrong)


def confusion(channel_labels: Sequence[int], config: SequenceConfig) -> FloatArray:
    """(states, L) probability that the network claims a channel's label given label and lag."""
    expected = np.array([_position(label) + lag for label in LABELS for lag in LAGS])
    distance = np.abs(expected[:, None] - np.array([_position(x) for x in channel_labels]))
    weights = np.exp(-distance / config.confusion_levels) + config.confusion_floor
    normalised: FloatArray = weights / weights.sum(1, keepdims=True)
    return normalised


def _position(label: int) -> float:
    """Place in the order of a spine without variants; T13 lies midway between T12 and L1."""
    return label_of("T12") + 0.5 if label == label_of("T13") else float(label)
