"""The published augmentation: drawn as a value, then applied to the grid of a network.

Payer et al., VISAPP 2020, section 4; the limits are those of `models.published`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.published import PublishedMethod
from vertseg.geometry.grid import FloatArray

CONTROLS = 6
"""Points of the elastic grid along each axis."""

_NEWTON_STEPS = 4
_SEARCH_STEP = 4
_HALF_VOXEL = 0.5 * np.eye(3)


@dataclass(frozen=True, eq=False)
class Augmentation:
    """What is done to one sample; lengths are voxels of the network's grid.

    Attributes:
        translation_voxels: (3,) along x, y, z.
        rotation_rad: (3,) about x, y, z.
        scale: of the grid; above 1 the sample shows more and smaller.
        elastic_voxels: (3, 6, 6, 6) how far the points of the elastic grid move along x, y, z.
        gain, shift: of the network's input.
    """

    translation_voxels: FloatArray
    rotation_rad: FloatArray
    scale: float
    elastic_voxels: FloatArray
    gain: float
    shift: float


def draw_augmentation(method: PublishedMethod, rng: np.random.Generator) -> Augmentation:
    """Everything random about a sample but its place, each number uniform in its interval."""
    translation = rng.uniform(-1, 1, 3) * method.translation_voxels
    rotation = np.deg2rad(rng.uniform(-1, 1, 3) * method.rotation_deg)
    scale = 1.0 + rng.uniform(-1, 1) * method.scale
    elastic = rng.uniform(-1, 1, (3, CONTROLS, CONTROLS, CONTROLS)) * method.elastic_voxels
    gain = 1.0 + rng.uniform(-1, 1) * method.gain
    shift = rng.uniform(-1, 1) * method.shift
    return Augmentation(translation, rotation, float(scale), elastic, float(gain), float(shift))


def weaker(method: PublishedMethod, strength: float) -> PublishedMethod:
    """The method with all limits of its augmentation times `strength`, 0 to 1."""
    names = ("translation_voxels", "rotation_deg", "scale", "elastic_voxels", "gain", "shift")
    return replace(method, **{name: strength * getattr(method, name) for name in names})


@dataclass(frozen=True, eq=False)
class Deformation:
    """From voxels of a network's grid to the world: elastic, then scale and rotation, then place.

    Attributes:
        size: voxels of the grid along x, y, z.
        linear: (3, 3) LPS mm for a step of one voxel along each axis.
        centre_lps_mm: (3,) where the middle of the grid comes to lie.
        elastic_voxels: (3, 6, 6, 6) see `Augmentation`.
    """

    size: tuple[int, int, int]
    linear: FloatArray
    centre_lps_mm: FloatArray
    elastic_voxels: FloatArray

    @classmethod
    def of(
        cls,
        augmentation: Augmentation,
        size: tuple[int, int, int],
        spacing_mm: float,
        centre_lps_mm: npt.ArrayLike,
    ) -> Deformation:
        """The deformation of a grid whose middle, without any, lies at a point (3,)."""
        linear = _rotation(augmentation.rotation_rad) * augmentation.scale * spacing_mm
        centre = np.asarray(centre_lps_mm, float) + augmentation.translation_voxels * spacing_mm
        return cls(size, linear, centre, augmentation.elastic_voxels)

    def grid_lps_mm(self) -> FloatArray:
        """Place (3, x, y, z) of every voxel."""
        along = [_spline(np.arange(n, dtype=float), n) for n in self.size]
        bent = np.einsum("cijk,xi,yj,zk->cxyz", self.elastic_voxels, *along, optimize=True)
        for axis, n in enumerate(self.size):
            shape = [1, 1, 1]
            shape[axis] = n
            bent[axis] += (np.arange(n) - 0.5 * (n - 1)).reshape(shape)
        placed = np.tensordot(self.linear, bent, axes=1)
        return np.asarray(placed + self.centre_lps_mm[:, None, None, None])

    def to_lps_mm(self, voxels: npt.ArrayLike) -> FloatArray:
        """Places (n, 3) of points in voxels (n, 3); beyond the grid its edge bends them alike."""
        points = np.asarray(voxels, float).reshape(-1, 3)
        along = [_spline(points[:, axis], n) for axis, n in enumerate(self.size)]
        bent = np.einsum("cijk,ni,nj,nk->nc", self.elastic_voxels, *along, optimize=True)
        middle = 0.5 * (np.array(self.size) - 1)
        return np.asarray((points - middle + bent) @ self.linear.T + self.centre_lps_mm)

    def to_voxels(self, points_lps_mm: npt.ArrayLike) -> FloatArray:
        """Voxels (n, 3) in which places (n, 3) are seen: Newton's method from the nearest voxel."""
        wanted = np.asarray(points_lps_mm, float).reshape(-1, 3)
        step = _SEARCH_STEP
        coarse = self.grid_lps_mm()[:, ::step, ::step, ::step]
        flat = coarse.reshape(3, -1).T
        nearest = [int(((flat - point) ** 2).sum(axis=1).argmin()) for point in wanted]
        start = np.stack(np.unravel_index(nearest, coarse.shape[1:]), axis=-1).astype(np.float64)
        start *= step
        best, error = start, self._miss_mm(start, wanted)
        voxels: FloatArray = start
        for _ in range(_NEWTON_STEPS):
            voxels = np.asarray(voxels - self._newton_step(voxels, wanted), np.float64)
            now = self._miss_mm(voxels, wanted)
            best = np.where((now < error)[:, None], voxels, best)
            error = np.minimum(now, error)
        return np.asarray(best, np.float64)

    def _miss_mm(self, voxels: FloatArray, wanted: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.norm(self.to_lps_mm(voxels) - wanted, axis=1), np.float64)

    def _newton_step(self, voxels: FloatArray, wanted: FloatArray) -> FloatArray:
        columns = [self.to_lps_mm(voxels + h) - self.to_lps_mm(voxels - h) for h in _HALF_VOXEL]
        slopes = np.stack(columns, axis=-1)
        missed = (self.to_lps_mm(voxels) - wanted)[..., None]
        return np.asarray((np.linalg.pinv(slopes) @ missed)[..., 0], np.float64)


def _spline(position: FloatArray, size: int) -> FloatArray:
    """Uniform cubic B-spline weights (n, 6) at positions (n,) in voxels of an axis of `size`."""
    place = np.clip(position / max(size - 1, 1), 0.0, 1.0) * (CONTROLS - 3) + 1
    d = np.abs(place[:, None] - np.arange(CONTROLS))
    near, far = 2 / 3 - d**2 + d**3 / 2, np.maximum(2 - d, 0) ** 3 / 6
    return np.where(d < 1, near, far)


def _rotation(angles: FloatArray) -> FloatArray:
    c, s = np.cos(angles), np.sin(angles)
    x = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    y = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    z = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    return np.asarray(x @ y @ z)
