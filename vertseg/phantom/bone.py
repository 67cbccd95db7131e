"""The bones of a volume together: nearest bone, joint gaps, and what each bone is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vertseg.geometry.grid import Grid
from vertseg.phantom.fields import FAR_MM, Array, Solid, smooth_max
from vertseg.phantom.patch import Frame, Slices, bounds_of, cut_patch


@dataclass(frozen=True, eq=False)
class Bone:
    """A bone made of plain solids.

    Attributes:
        label: tissue id.
        solids: their union, in the frame `frame`.
        core_hu: HU of the cancellous inside.
        shell_mm: thickness of the cortex.
        cuts: solids that are taken away again.
        fillet: rounding of the seams, mm.
        frame: the frame of the solids.
    """

    label: int
    solids: tuple[Solid, ...]
    core_hu: float
    shell_mm: float
    cuts: tuple[Solid, ...] = ()
    fillet: float = 3.0
    frame: Frame = field(default_factory=Frame.world)


@dataclass(frozen=True, eq=False)
class BoneShape:
    """One bone on a patch.

    Attributes:
        distance: signed distance, mm.
        core: HU of its cancellous inside; a number or an array.
        shell: thickness of its cortex in mm; a number or an array.
    """

    distance: Array
    core: Array | float
    shell: Array | float


class Skeleton:
    """Collects bones; where two meet, a joint space is left half way between them."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        """Start without bones on a volume of this shape."""
        self.nearest = np.full(shape, FAR_MM, dtype=np.float32)
        self.second = np.full(shape, FAR_MM, dtype=np.float32)
        self.label = np.zeros(shape, dtype=np.uint8)
        self.core = np.zeros(shape, dtype=np.float32)
        self.shell = np.zeros(shape, dtype=np.float32)

    def add(self, slices: Slices, label: int, bone: BoneShape) -> None:
        """Add one bone whose arrays fill `slices` of the volume."""
        nearest, second = self.nearest[slices], self.second[slices]
        closer = bone.distance < nearest
        np.minimum(second, np.where(closer, nearest, bone.distance), out=second)
        np.copyto(nearest, bone.distance, where=closer)
        self.label[slices][closer] = label
        np.copyto(self.core[slices], np.asarray(bone.core, dtype=np.float32), where=closer)
        np.copyto(self.shell[slices], np.asarray(bone.shell, dtype=np.float32), where=closer)

    def add_plain(self, grid: Grid, bone: Bone, margin_mm: float = 5.0) -> None:
        """Add a bone made of plain solids, where it touches the grid."""
        lower, upper = bounds_of(bone.solids)
        patch = cut_patch(grid, bone.frame, lower - margin_mm, upper + margin_mm)
        if patch is None:
            return
        distance = patch.fuse(bone.solids, bone.fillet)
        if bone.cuts:
            distance = smooth_max(distance, -patch.fuse(bone.cuts, 0.0), 2.0)
        self.add(patch.slices, bone.label, BoneShape(distance, bone.core_hu, bone.shell_mm))

    def distance(self, gap_mm: float) -> Array:
        """Signed distance (x, y, z), mm, of all bones with joint spaces of `gap_mm`."""
        joint = 0.5 * (self.nearest - self.second + np.float32(gap_mm))
        return np.maximum(self.nearest, joint)

    def labels(self, gap_mm: float) -> NDArray[np.uint8]:
        """Label (x, y, z) of the bone at each voxel, 0 outside bones."""
        return np.where(self.distance(gap_mm) < 0, self.label, np.uint8(0))
