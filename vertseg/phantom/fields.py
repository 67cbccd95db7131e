"""Signed distances of simple solids, negative inside, in millimetres.

Every solid knows the box that holds it (`bounds`) and its signed distance on coordinate arrays
(`distance`), both in the frame it was described in. Ellipsoidal distances use the first-order
estimate k0 (k0 - 1) / k1 of I. Quilez ("Ellipsoid - distance estimation", iquilezles.org), which is
exact on the surface and good to a few per cent within a shell's thickness of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]
Vector = tuple[float, float, float]

Radius = Array | np.float32

FAR_MM = 1000.0


class Solid(Protocol):
    """A solid with a bounding box and a signed distance."""

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper corner, (3,) each, of a box that holds the solid, mm."""
        ...

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm at points; x, y and z are arrays of any shapes that broadcast."""
        ...


def smooth_min(a: Array, b: Array, width: float) -> Array:
    """Union of two solids whose seam is filleted over `width` mm (polynomial smooth minimum).

    `a` and `b` are signed distances, mm, in arrays of one shape, and so is the result.
    """
    if width <= 0:
        return np.minimum(a, b)
    overlap = np.maximum(np.float32(width) - np.abs(a - b), 0)
    return np.minimum(a, b) - overlap * overlap * np.float32(0.25 / width)


def smooth_max(a: Array, b: Array, width: float) -> Array:
    """Intersection of two solids whose edge is rounded over `width` mm, see `smooth_min`."""
    return -smooth_min(-a, -b, width)


def unit(vector: ArrayLike) -> NDArray[np.float64]:
    """The vector (3,) scaled to length 1."""
    array = np.asarray(vector, dtype=np.float64)
    return array / np.linalg.norm(array)


def vector(values: ArrayLike) -> Vector:
    """Three numbers (3,) as a tuple of floats."""
    x, y, z = np.asarray(values, dtype=np.float64)
    return float(x), float(y), float(z)


def _ellipsoid(u: Array, v: Array, w: Array, ru: Radius, rv: Radius, rw: Radius) -> Array:
    """First-order distance to the ellipsoid with radii (ru, rv, rw) centred on the origin."""
    u, v, w = u / ru, v / rv, w / rw
    tiny = np.float32(1e-4)
    k0 = np.sqrt(u * u + v * v + w * w) + tiny
    u, v, w = u / ru, v / rv, w / rw
    k1 = np.sqrt(u * u + v * v + w * w) + tiny / np.minimum(np.minimum(ru, rv), rw)
    return k0 * (k0 - 1) / k1


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid; `axes` holds its three unit axes as rows."""

    centre: Vector
    radii: Vector
    axes: tuple[Vector, Vector, Vector] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners (3,) of the box of the ellipsoid, mm."""
        half = np.sqrt(((np.asarray(self.axes) * np.asarray(self.radii)[:, None]) ** 2).sum(0))
        return np.asarray(self.centre) - half, np.asarray(self.centre) + half

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm, see `Solid`."""
        u, v, w = _rotate(x, y, z, self.centre, np.asarray(self.axes))
        ru, rv, rw = (np.float32(radius) for radius in self.radii)
        return _ellipsoid(u, v, w, ru, rv, rw)


@dataclass(frozen=True)
class Plate:
    """A rounded box with half sizes `half` along the rows of `axes`."""

    centre: Vector
    half: Vector
    axes: tuple[Vector, Vector, Vector] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    rounding: float = 1.5

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners (3,) of the box of the plate, mm."""
        half = (np.abs(np.asarray(self.axes)) * np.asarray(self.half)[:, None]).sum(0)
        return np.asarray(self.centre) - half, np.asarray(self.centre) + half

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm, see `Solid`."""
        radius = min(self.rounding, *self.half)
        parts = _rotate(x, y, z, self.centre, np.asarray(self.axes))
        q = [np.abs(p) - np.float32(h - radius) for p, h in zip(parts, self.half, strict=True)]
        outside = np.sqrt(sum(np.maximum(c, 0) ** 2 for c in q))
        inside = np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0)
        return outside + inside - np.float32(radius)


@dataclass(frozen=True)
class Limb:
    """A tapering rod from `start` to `end` with elliptical sections.

    `radii_start` and `radii_end` are the half thickness along `thin` (a direction; its part across
    the rod is used) and across it. `cap` is how far the rounded ends reach past the two points.
    """

    start: Vector
    end: Vector
    radii_start: tuple[float, float]
    radii_end: tuple[float, float]
    thin: Vector = (1, 0, 0)
    cap: float | None = None

    def _cap(self) -> float:
        return min(*self.radii_start, *self.radii_end) if self.cap is None else self.cap

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners (3,) of a generous box of the rod, mm."""
        start, end = np.asarray(self.start), np.asarray(self.end)
        along, thin, wide = self._directions()
        cap = np.abs(along) * self._cap()
        first = cap + np.abs(thin) * self.radii_start[0] + np.abs(wide) * self.radii_start[1]
        last = cap + np.abs(thin) * self.radii_end[0] + np.abs(wide) * self.radii_end[1]
        return np.minimum(start - first, end - last), np.maximum(start + first, end + last)

    def _directions(self) -> NDArray[np.float64]:
        return _limb_axes(self.start, self.end, self.thin)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm, see `Solid`."""
        length = np.float32(np.linalg.norm(np.subtract(self.end, self.start)))
        t, u, v = _rotate(x, y, z, self.start, self._directions())
        fraction = np.clip(t / length, 0, 1)
        ru = self.radii_start[0] + fraction * np.float32(self.radii_end[0] - self.radii_start[0])
        rv = self.radii_start[1] + fraction * np.float32(self.radii_end[1] - self.radii_start[1])
        return _ellipsoid(t - fraction * length, u, v, np.float32(self._cap()), ru, rv)


@dataclass(frozen=True)
class Prism:
    """A rounded triangular rod along z with its flat side in front (low y).

    Attributes:
        front, back: y of the flat side and of the blunt tip.
        half_width: of the flat side; `narrowing` is the share of it that is lost at the tip.
        reach: half length along z.
    """

    front: float
    back: float
    half_width: float
    narrowing: float
    reach: float

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners (3,) of the box of the rod, mm."""
        return (
            np.array([-self.half_width, self.front, -self.reach]),
            np.array([self.half_width, self.back, self.reach]),
        )

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm (true near the sides, the ends are open)."""
        depth = self.back - self.front
        lean = self.half_width * self.narrowing / (0.75 * depth)
        width = self.half_width - np.float32(lean) * (y - np.float32(self.front + 0.25 * depth))
        side = (np.abs(x) - np.minimum(width, self.half_width)) * np.float32(1 / np.hypot(1, lean))
        side = smooth_max(side, np.float32(self.front) - y, 0.3 * depth)
        return smooth_max(side, y - np.float32(self.back), 0.25 * depth)


def _rotate(
    x: Array, y: Array, z: Array, centre: Vector, axes: NDArray[np.float64]
) -> tuple[Array, Array, Array]:
    """Coordinates along the rows of `axes`, seen from `centre`."""
    rows = axes.astype(np.float32)
    shift = (axes @ np.asarray(centre, dtype=np.float64)).astype(np.float32)
    u, v, w = (r[0] * x + r[1] * y + r[2] * z - s for r, s in zip(rows, shift, strict=True))
    return u, v, w


@lru_cache(maxsize=8192)
def _limb_axes(start: Vector, end: Vector, thin: Vector) -> NDArray[np.float64]:
    """Rows: along the rod, its thin direction, and across both."""
    along = unit(np.subtract(end, start))
    flat = np.asarray(thin) - np.dot(thin, along) * along
    if np.linalg.norm(flat) < 1e-6:
        flat = np.cross(along, (0.3, 0.5, 0.8))
    flat = unit(flat)
    return np.stack([along, flat, np.cross(along, flat)])


def tube(points: ArrayLike, radii: ArrayLike, thin: ArrayLike | None = None) -> list[Limb]:
    """A bent rod through `points` (n, 3) mm as n - 1 limbs.

    Parameters
    ----------
    points: (n, 3) mm.
    radii: (n,) for round or (n, 2) for elliptical sections, mm.
    thin: (n, 3) directions of the first radius; needed for elliptical sections only.
    """
    points = np.asarray(points, dtype=np.float64)
    pairs = np.broadcast_to(
        np.asarray(radii, dtype=np.float64).reshape(len(points), -1), (len(points), 2)
    )
    flat = np.broadcast_to((1.0, 0.0, 0.0), points.shape) if thin is None else np.asarray(thin)
    return [
        Limb(vector(a), vector(b), _two(ra), _two(rb), vector(f))
        for a, b, ra, rb, f in zip(
            points[:-1], points[1:], pairs[:-1], pairs[1:], flat[:-1], strict=True
        )
    ]


def _two(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values[0]), float(values[1])
