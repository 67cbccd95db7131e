"""Solids made from other solids: hollowed, shrunk, cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertseg.phantom.fields import Array, Solid, smooth_max


@dataclass(frozen=True)
class Shell:
    """The outer `thickness` mm of a solid."""

    solid: Solid
    thickness: float

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners (3,) of the box of the solid, mm."""
        return self.solid.bounds()

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm, see `Solid`."""
        half = np.float32(0.5 * self.thickness)
        return np.abs(self.solid.distance(x, y, z) + half) - half


@dataclass(frozen=True)
class Shrunk:
    """A solid made smaller by `depth` mm on all sides."""

    solid: Solid
    depth: float

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners (3,) of the box of the solid, mm."""
        return self.solid.bounds()

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm, see `Solid`."""
        return self.solid.distance(x, y, z) + np.float32(self.depth)


@dataclass(frozen=True)
class Difference:
    """A solid without its `cuts`, the edges rounded over `fillet` mm."""

    solid: Solid
    cuts: tuple[Solid, ...]
    fillet: float = 2.0

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners (3,) of the box of the solid, mm."""
        return self.solid.bounds()

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm, see `Solid`."""
        distance = self.solid.distance(x, y, z)
        for cut in self.cuts:
            distance = smooth_max(distance, -cut.distance(x, y, z), self.fillet)
        return distance
