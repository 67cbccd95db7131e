"""Whether the values of a volume are Hounsfield units, judged from their distribution.

CT holds soft tissue (0 to 100) and bone, beside air (-1000) or fat (-100) if it is not a small part
of a body; a scan stored without its rescale intercept holds the same peaks 1024 higher.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Intensities = Literal["hounsfield", "zero_based", "windowed", "unknown"]
"""``zero_based``: HU + 1024, beyond doubt; ``windowed``: HU limited to a part of their range;
``unknown``: MR, scaled, a label map."""

ZERO_BASED_OFFSET_HU = 1024
AIR_HU = -1024

_SAMPLE_VOXELS = 250_000
_HIGHEST_WINDOW_HU, _LOWEST_WINDOW_HU = 2000, -900  # scanners limit values above and below these
_NEAR_HU = 10.0
_SPIKE = 3.0  # times as many voxels as within so many HU of them
_FEWEST_VALUES = 12  # that are different; drawn volumes have fewer, steps of 16 HU give more
_FEWEST_LIMITED = 20
_FEWEST_LIMITED_BELOW = 0.01  # of the sample


def window_of(array: npt.NDArray[Any]) -> tuple[float, float] | None:
    """Lowest and highest value of an array (i, j, k) of HU that was limited to a window.

    At such a limit lie all values from beyond it, many more than beside it: at the upper one all
    dense bone, at the lower one fat, lung or air. In 18 real scans 1 to 3 voxels of a sample had
    its highest value below 2000 HU, and limited to common windows 3 to 100 times as many as within
    10 HU below.

    Returns:
        The limits; the lower one is that of the values where only the upper one is a limit, and
        the other way round. None if neither is.
    """
    sample = _sample(array)
    if np.unique(sample).size < _FEWEST_VALUES:
        return None
    low, high = float(sample.min()), float(sample.max())
    at_top = int(np.count_nonzero(sample >= high - 0.5))
    below_top = int(np.count_nonzero(sample >= high - 0.5 - _NEAR_HU)) - at_top
    if high < _HIGHEST_WINDOW_HU and at_top >= max(_FEWEST_LIMITED, _SPIKE * below_top):
        return low, high
    at_bottom = int(np.count_nonzero(sample <= low + 0.5))
    above_bottom = int(np.count_nonzero(sample <= low + 0.5 + _NEAR_HU)) - at_bottom
    fewest = max(_FEWEST_LIMITED_BELOW * sample.size, _SPIKE * above_bottom)
    return (low, high) if low > _LOWEST_WINDOW_HU and at_bottom >= fewest else None


def _sample(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    step = max(1, int(np.ceil((array.size / _SAMPLE_VOXELS) ** (1 / 3))))
    return np.asarray(array[::step, ::step, ::step], dtype=np.float32).ravel()


def recognise(array: npt.NDArray[Any]) -> Intensities:
    """Judge an array (i, j, k) of values from an even sample of its voxels; not their window."""
    sample = _sample(array)
    sample = sample[sample > AIR_HU]  # without air and padding
    if sample.size == 0:
        return "unknown"
    top = float(np.percentile(sample, 99.9))
    if np.mean(sample < -50) >= 0.005:
        return "hounsfield" if top >= 50 and _is_mostly_soft(sample) else "unknown"
    if _is_within_a_body(sample, top):
        return "hounsfield"
    return "zero_based" if _is_zero_based(sample, top) else "unknown"


def _is_mostly_soft(sample: npt.NDArray[np.float32]) -> bool:
    """Whether much of what is no air or lung has the density of fat or soft tissue, as in a body.

    Of real scans 0.9 of it and more, of small parts around bone and lung 0.56; of values ten times
    as large up to 0.43. Inverted values, where air is densest, mostly fail as well.
    """
    tissue = sample[sample > -250]
    return bool(np.mean(tissue < 250) >= 0.45)


def _is_within_a_body(sample: npt.NDArray[np.float32], top: float) -> bool:
    """Whether it is soft tissue and bone around 0 HU, as in a part with neither air nor much fat.

    Values of 8 bits and magnitudes, as of MR, have nothing below 0.
    """
    is_signed = np.mean(sample < 0) >= 0.01
    return bool(is_signed and 0 <= np.median(sample) <= 90 and top >= 250)


def _is_zero_based(sample: npt.NDArray[np.float32], top: float) -> bool:
    """Whether most of what is not air lies where fat and soft tissue lie in HU + 1024."""
    if not 1100 <= top <= 4200:
        return False
    tissue = sample[sample > 300]
    if tissue.size < 0.05 * sample.size:
        return False
    return bool(np.mean((tissue >= 880) & (tissue <= 1180)) >= 0.5)
