"""Noise along the spine."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def smooth_noise(n: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth curve over `n` levels whose amplitude is drawn with standard deviation `sigma`."""
    noise = ndimage.gaussian_filter1d(rng.normal(0, 1, n + 16), 3.0)[8:-8]
    return noise / max(float(noise.std()), 0.2) * abs(rng.normal(0, sigma))
