"""A phantom as a prepared case on its own grid."""

from pathlib import Path

import numpy as np

from vertseg.phantom import make_phantom
from vertseg.training.data.dataset import CaseData
from vertseg.training.data.native import NativeCase, read_native, write_native


def native_phantom(pool: Path, smoothing_mm: float = 0.75, seed: int = 4, fold: int = 0):
    """The phantom, and the case that was written to `pool` and read again."""
    phantom = make_phantom(("L1", "L4"), 4.0, seed, field_mm=(160.0, 160.0), noise_hu=9.0)
    points = {c.label: np.array(c.point_lps_mm) for c in phantom.centroids}
    name = f"phantom{seed}"
    data = CaseData(name, phantom.image, phantom.vertebra_mask(), phantom.grid, points)
    write_native(pool, data, smoothing_mm, "p", fold)
    case: NativeCase = next(c for c in read_native(pool, smoothing_mm) if c.name == name)
    return phantom, case
