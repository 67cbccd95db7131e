"""A CT volume and its labels, painted structure by structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vertseg.geometry.grid import Grid
from vertseg.phantom.fields import Array, Solid
from vertseg.phantom.patch import Frame, Patch, Slices, bounds_of, cut_patch
from vertseg.phantom.tissues import Tissue

AIR_HU = -1000.0


@dataclass(frozen=True, eq=False)
class Organ:
    """A soft structure: the union of solids, of one HU.

    Attributes:
        label: tissue id.
        solids: in the frame `frame`.
        hu: mean HU.
        fillet: rounding of the seams, mm.
        inside: paint only inside the body cavity, this far (mm) from its wall; None: anywhere.
        frame: the frame of the solids.
        rigid: painted exactly; other organs in the LPS frame are bent by the canvas's ripple.
    """

    label: int
    solids: tuple[Solid, ...]
    hu: float
    fillet: float = 3.0
    inside: float | None = None
    frame: Frame | None = None
    rigid: bool = False


class Ripple:
    """A smooth random displacement of a few mm that keeps organs from being perfect."""

    _WAVES = ((3.5, 30.0), (1.8, 6.5))  # amplitude and wavelength / 2 pi, mm

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the phases."""
        self._phases = rng.uniform(0, 2 * np.pi, (len(self._WAVES), 3, 3))

    def bend(self, patch: Patch, waves: int = 2) -> Patch:
        """The patch with displaced coordinates; `waves` 1 leaves the short wave out."""
        axes = (patch.x, patch.y, patch.z)
        bent = list(axes)
        for (amplitude, length), phases in list(zip(self._WAVES, self._phases, strict=True))[
            :waves
        ]:
            scaled = [axis * np.float32(1 / length) for axis in axes]
            for a, phase in enumerate(phases.astype(np.float32)):
                b, c = scaled[(a + 1) % 3], scaled[(a + 2) % 3]
                bent[a] = bent[a] + np.float32(amplitude) * np.sin(b + phase[0]) * np.sin(
                    c + phase[1]
                )
        return Patch(patch.slices, bent[0], bent[1], bent[2], patch.to_index)


class Canvas:
    """HU and labels on a grid; edges are blended over about a voxel, as a scanner would."""

    def __init__(self, grid: Grid, ripple: Ripple) -> None:
        """Start with air everywhere."""
        self.grid, self.ripple = grid, ripple
        self.hu = np.full(grid.size, AIR_HU, dtype=np.float32)
        self.labels = np.full(grid.size, Tissue.AIR, dtype=np.uint8)
        self.cavity: Array | None = None
        self._soft = np.float32(0.6 * float(np.prod(grid.spacing)) ** (1 / 3))

    def fill(self, slices: Slices, distance: Array, hu: Array | float, label: int) -> None:
        """Paint the voxels with negative distance; arrays (x, y, z) fill `slices` of the volume."""
        share = np.clip(0.5 - distance / (2 * self._soft), 0, 1)
        view = self.hu[slices]
        view += share * (np.asarray(hu, dtype=np.float32) - view)
        np.copyto(self.labels[slices], np.uint8(label), where=distance < 0)

    def paint(self, organ: Organ, margin_mm: float = 8.0) -> None:
        """Paint an organ where it touches the grid."""
        lower, upper = bounds_of(organ.solids)
        patch = cut_patch(
            self.grid, organ.frame or Frame.world(), lower - margin_mm, upper + margin_mm
        )
        if patch is None:
            return
        if organ.frame is None and not organ.rigid:
            patch = self.ripple.bend(patch)
        distance = patch.fuse(organ.solids, organ.fillet, margin=margin_mm)
        if organ.inside is not None and self.cavity is not None:
            distance = np.maximum(distance, self.cavity[patch.slices] + np.float32(organ.inside))
        self.fill(patch.slices, distance, organ.hu, organ.label)
