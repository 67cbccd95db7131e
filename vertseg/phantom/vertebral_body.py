"""The vertebral body: a waisted, kidney-shaped drum with dished end plates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertseg.phantom.fields import Array, smooth_max
from vertseg.phantom.spine import PosedVertebra

_SQUARENESS = np.float32(0.22)


@dataclass(frozen=True)
class VertebralBody:
    """A body centred on the origin of its frame; lengths in mm, slopes as tangents along y.

    Attributes:
        half_width, half_depth: (upper, lower) end plates.
        height: in the middle.
        slope: tilt (upper, lower) of the end plates along y.
        dish: depth of the end plates' hollow.
        waist: narrowing half way up, as a share.
        hollow: concavity of the posterior wall; `hollow_radius` its radius.
        lip: osteophytes at the rims.
        taper: narrowing towards the front, as a share (the heart shape of thoracic bodies).
        uncus: height of the cervical uncinate processes; 0 elsewhere.
    """

    half_width: tuple[float, float]
    half_depth: tuple[float, float]
    height: float
    slope: tuple[float, float]
    dish: float
    waist: float
    hollow: float
    hollow_radius: float
    lip: float
    taper: float
    uncus: float

    @staticmethod
    def of(vertebra: PosedVertebra) -> VertebralBody:
        """The body of a vertebra, C3 to L6."""
        size, variation = vertebra.size, vertebra.variation
        cervical = vertebra.region == "cervical"
        half_wedge = np.tan(np.deg2rad(variation.wedge_deg) / 2)
        depth = 0.5 * (size.depth_upper + size.depth_lower)
        collapse = variation.collapse * vertebra.height / depth
        return VertebralBody(
            half_width=(size.width_upper / 2, size.width_lower / 2),
            half_depth=(size.depth_upper / 2, size.depth_lower / 2),
            height=vertebra.height * (1 - 0.5 * variation.collapse),
            slope=(-half_wedge + collapse, half_wedge),
            dish=variation.concavity_mm * (1 + 3 * variation.collapse),
            waist=0.06 if cervical else 0.11,
            hollow={"cervical": 0.6, "thoracic": 2.2, "lumbar": 1.4}[vertebra.region],
            hollow_radius=0.62 * size.canal_width,
            lip=variation.lip_mm,
            taper={"cervical": 0.03, "thoracic": 0.22, "lumbar": 0.06}[vertebra.region],
            uncus=3.2 if cervical else 0.0,
        )

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners (3,) of the box of the body, mm."""
        half = np.array(
            [
                max(self.half_width) + self.lip,
                max(self.half_depth) + self.lip,
                0.5 * self.height
                + self.uncus
                + 4.0
                + max(map(abs, self.slope)) * max(self.half_depth),
            ]
        )
        return -half, half

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm at points, see `vertseg.phantom.fields.Solid`."""
        side, plate = self.wall_and_plate(x, y, z)
        return smooth_max(side, plate, 2.2)

    def wall_and_plate(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        """Signed distances to side wall and nearer end plate, mm, each of the points' shape."""
        level = np.clip(z / np.float32(self.height), -0.6, 0.6)
        middle = np.maximum(1 - 4 * level * level, 0)
        rim = np.exp(-(((0.5 - np.abs(level)) * self.height / 2.5) ** 2)) * self.lip
        rim = rim * (0.6 - 0.4 * np.clip(y / max(self.half_depth), -1, 1))
        a = self._at(self.half_width, level) * (1 - self.waist * middle) + rim
        b = self._at(self.half_depth, level) * (1 - 0.7 * self.waist * middle) + rim
        a = a * (1 + np.float32(self.taper) * np.clip(y / b, -1, 0.8))
        u, v = x / a, y / b
        uu, vv = np.minimum(u * u, 1.5), np.minimum(v * v, 1.5)
        radius = np.sqrt(u * u + v * v - _SQUARENESS * uu * vv) + np.float32(1e-3)
        side = (radius - 1) * np.sqrt(x * x + y * y + np.float32(1e-2)) / radius
        centre = b + np.float32(self.hollow_radius - self.hollow)
        groove = np.sqrt(x * x + (y - centre) ** 2) - np.float32(self.hollow_radius)
        side = smooth_max(side, -groove, 3.0)
        return side, self._plate(u, y, z, radius)

    @staticmethod
    def _at(ends: tuple[float, float], level: Array) -> Array:
        upper, lower = ends
        return np.float32(0.5 * (upper + lower)) + level * np.float32(upper - lower)

    def _plate(self, u: Array, y: Array, z: Array, radius: Array) -> Array:
        hollow = np.float32(self.dish) * (np.maximum(1 - radius * radius, 0) - np.float32(0.55))
        uncus = np.float32(self.uncus) * np.minimum(np.abs(u), 1.15) ** 4
        brim = np.float32(0.8 * self.uncus) * np.clip(-y / max(self.half_depth), 0, 1) ** 2
        half = np.float32(0.5 * self.height)
        upper = z - (half + self.slope[0] * y - hollow + uncus - 0.4 * brim)
        lower = -half + self.slope[1] * y + 1.3 * hollow + 0.4 * uncus - 0.5 * brim - z
        return np.maximum(upper, lower)
