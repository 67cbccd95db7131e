"""The envelopes of the trunk: skin, outer muscle surface and body cavity, fitted to a spine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vertseg.geometry.grid import FloatArray
from vertseg.phantom.fields import Array
from vertseg.phantom.patch import Patch
from vertseg.phantom.spine import Spine

Envelope = Literal["skin", "muscle", "cavity"]

# Level (C1 = 1, T1 = 8, L1 = 20, S1 = 25), half width, reach to the front and to the back of the
# spine's centre line, mm. Read off axial CT of adults with the arms raised; round figures.
_MUSCLE = np.array(
    [
        (1, 56, 52, 52),
        (4, 54, 52, 48),
        (6, 60, 52, 56),
        (7, 82, 50, 62),
        (8, 130, 56, 68),
        (9, 158, 70, 72),
        (11, 162, 104, 74),
        (13, 156, 132, 72),
        (15, 150, 150, 70),
        (17, 146, 152, 72),
        (19, 140, 146, 80),
        (21, 134, 134, 92),
        (23, 134, 118, 96),
        (25, 150, 112, 92),
        (27, 168, 116, 78),
        (30, 176, 110, 70),
        (36, 176, 90, 70),
    ],
    dtype=np.float64,
)
_CAVITY = np.array(
    [
        (5, 2, 30, -24),
        (6, 16, 34, -10),
        (7, 30, 38, 2),
        (8, 50, 46, 18),
        (9, 78, 62, 38),
        (10, 98, 78, 48),
        (11, 110, 92, 51),
        (13, 125, 118, 51),
        (15, 132, 134, 50),
        (17, 133, 136, 48),
        (19, 126, 130, 45),
        (21, 118, 118, 36),
        (23, 114, 102, 30),
        (25, 112, 94, 12),
        (27, 92, 92, -4),
        (29, 62, 84, -6),
        (31, 50, 70, 0),
        (33, 20, 40, 10),
    ],
    dtype=np.float64,
)
_FAT_SHARE = np.array(
    [
        (1, 0.5, 0.6, 0.5),
        (6, 0.5, 0.6, 0.7),
        (8, 0.6, 0.6, 0.9),
        (12, 0.7, 0.8, 0.8),
        (16, 0.9, 0.8, 0.7),
        (19, 1.0, 1.0, 0.8),
        (22, 1.3, 1.4, 1.0),
        (25, 1.4, 1.5, 1.4),
        (28, 1.4, 1.2, 1.8),
        (36, 1.4, 1.0, 1.8),
    ],
    dtype=np.float64,
)
_STEP_MM = 1.0


@dataclass(frozen=True)
class Habitus:
    """Build of the body: `girth` scales muscle and cavity widths, `fat_mm` the fat layer."""

    girth: float
    fat_mm: float


def draw_habitus(rng: np.random.Generator) -> Habitus:
    """Draw a body build."""
    return Habitus(float(rng.normal(1.0, 0.05)), float(rng.uniform(8, 24)))


class Torso:
    """Envelopes as stacks of rounded ellipses whose sizes change with z (LPS mm)."""

    def __init__(self, spine: Spine, habitus: Habitus) -> None:
        """Fit the envelopes to the heights of the spine's levels."""
        self.habitus = habitus
        levels = np.arange(-8.0, 40.0, 0.25)
        points = np.array([spine.point(level) for level in np.clip(levels, 1, 25)])
        points[:, 2] += (
            np.where(levels < 1, (1 - levels) * 20, 0) - np.clip(levels - 25, 0, None) * 24
        )
        order = np.argsort(points[:, 2])
        self._z0 = float(points[order[0], 2])
        z = np.arange(self._z0, points[order[-1], 2], _STEP_MM)
        level = np.interp(z, points[order, 2], levels[order])
        centre = np.stack([np.interp(z, points[order, 2], points[order, a]) for a in (0, 1)])
        self._tables: dict[Envelope, FloatArray] = {}
        for name in ("muscle", "cavity", "skin"):
            sizes = self._sizes(name, level) * spine.scale
            self._tables[name] = _envelope(centre, sizes, 8.0)
        self.level_to_z = lambda at: float(np.interp(at, levels, points[:, 2]))

    def _sizes(self, name: Envelope, level: FloatArray) -> FloatArray:
        """(3, n) half width, reach to the front, reach to the back."""
        girth = np.array([self.habitus.girth, self.habitus.girth, 1.0])[:, None]
        if name == "skin":
            fat = self.habitus.fat_mm * _columns(_FAT_SHARE, level)
            return self._sizes("muscle", level) + fat + 2.0
        return _columns(_MUSCLE if name == "muscle" else _CAVITY, level) * girth

    def distance(self, patch: Patch, name: Envelope) -> Array:
        """Signed distance (x, y, z), mm, to an envelope at the voxels of a patch in LPS mm."""
        table = self._tables[name]
        row = np.clip((patch.z - self._z0) / _STEP_MM, 0, table.shape[1] - 1).astype(np.int32)
        middle_x, middle_y, half_x, half_y = (column.astype(np.float32)[row] for column in table)
        x, y = patch.x - middle_x, patch.y - middle_y
        if name != "cavity":  # the furrow of the back
            y = y + np.float32(5) * np.exp(-((x / 16) ** 2)) * (y > 0)
        u, v = (x / half_x) ** 2, (y / half_y) ** 2
        square = np.float32(0.30) * np.minimum(u, 1.5) * np.minimum(v, 1.5)
        radius = np.sqrt(u + v - square) + np.float32(1e-3)
        return (1 - 1 / radius) * np.sqrt(x * x + y * y)

    def surface(self, name: Envelope, angle: float, z: float, offset: float) -> FloatArray:
        """(3,) LPS point `offset` mm outside an envelope.

        Args:
            name: which one.
            angle: degrees from straight behind towards the left (+) or the right (-).
            z: height, LPS mm.
            offset: mm along the radius.
        """
        row = int(np.clip((z - self._z0) / _STEP_MM, 0, self._tables[name].shape[1] - 1))
        middle_x, middle_y, half_x, half_y = self._tables[name][:, row]
        sine, cosine = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
        u, v = sine * sine, cosine * cosine
        radius = 1 / np.sqrt(1 - 0.30 * u * v)
        x, y = half_x * sine * radius, half_y * cosine * radius
        stretch = 1 + offset / np.hypot(x, y)
        return np.array([middle_x + x * stretch, middle_y + y * stretch, z])


def _columns(table: FloatArray, level: FloatArray) -> FloatArray:
    return np.stack([np.interp(level, table[:, 0], table[:, c]) for c in (1, 2, 3)])


def _envelope(centre: FloatArray, sizes: FloatArray, smoothing_mm: float) -> FloatArray:
    """(4, n) middle x, middle y, half width, half depth by height."""
    x = gaussian_filter1d(centre[0], 60 / _STEP_MM, mode="nearest")
    front = gaussian_filter1d(centre[1] - sizes[1], 25 / _STEP_MM, mode="nearest")
    back = gaussian_filter1d(centre[1] + sizes[2], 25 / _STEP_MM, mode="nearest")
    half = gaussian_filter1d(sizes[0], smoothing_mm / _STEP_MM, mode="nearest")
    return np.stack([x, 0.5 * (front + back), half, np.maximum(0.5 * (back - front), 5.0)])
