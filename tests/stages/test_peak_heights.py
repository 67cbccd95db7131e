"""Heatmaps whose peaks are higher than 1, as learned sigmas make them, name vertebrae rightly."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from models import PRESETS, activate
from models.published import peak_height
from vertseg.sequence.solve import solve_sequence
from vertseg.stages.peaks import find_places

FIRST, COUNT = 12, 8  # T5 to T12
SPACING_MM, STEP_MM = 2.0, 24.0
SHARE = 0.55
"""Of its own peak, what the channel of the level above says at each vertebra."""


def ideal_outputs(sigmas_px):
    """Maps (x, y, z, 25) of mass 1000 with the right channel the strongest everywhere."""
    grid = np.stack(np.meshgrid(*map(np.arange, (16, 16, 104)), indexing="ij"), axis=-1)
    outputs = np.zeros((16, 16, 104, 25), np.float32)
    for row in range(COUNT):
        place = np.array([8, 8, 96 - row * STEP_MM / SPACING_MM])
        square = ((grid - place) ** 2).sum(-1)
        for label, share in ((FIRST + row, 1.0), (FIRST + row - 1, SHARE)):
            sigma = sigmas_px[label - 1]
            height = share * peak_height(1000.0, sigma)
            own = height * np.exp(-0.5 * square / sigma**2)
            np.maximum(outputs[..., label - 1], own, out=outputs[..., label - 1])
    return outputs


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0, 4.0, None])
def test_t5_to_t12_are_named_as_their_strongest_channels_say(sigma):
    """With one sigma for all labels, and with another one for each."""
    rng = np.random.default_rng(0)
    sigmas = np.full(25, sigma) if sigma else rng.uniform(1.5, 4.0, 25)
    outputs = ideal_outputs(sigmas)
    peaks = tuple(peak_height(1000.0, s) for s in sigmas)
    stage = dataclasses.replace(PRESETS["paper"].vertebrae, peaks=peaks)
    maps = ops.convert_to_numpy(activate(outputs, stage))
    assert maps.max() == pytest.approx(1.0, rel=0.01)
    places = find_places(maps, (SPACING_MM,) * 3, stage.threshold)
    chain = solve_sequence(places.index_xyz * SPACING_MM, places.scores, stage.labels)
    assert [v.label for v in chain.vertebrae] == [*range(FIRST, FIRST + COUNT)]
    assert chain.margin > 2.0
