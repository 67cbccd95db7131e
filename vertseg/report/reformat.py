"""Pictures of a scan that follow the spine: one seen from the side, one from the front.

Every row of a picture lies at one height z of the world. The view from the side shows, at each
height, the line from front to back through the spine; the view from the front the line from right
to left. So a curved spine stays in the picture, and distances along both axes are true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import FloatArray, Grid
from vertseg.geometry.lines import Lines
from vertseg.io.image import Image

Plane = Literal["sagittal", "coronal"]

_SLAB_MM = (-1.5, 0.0, 1.5)  # averaged, against noise
_WINDOW_HU = (-450.0, 1050.0)
_BEYOND_MM = 120.0  # shown above and below the vertebrae that were found
_LEAD_MM = 40.0  # how far the direction of the last two vertebrae is followed
_MARGINS_MM = {"sagittal": (65.0, 80.0), "coronal": (75.0, 75.0)}
_AXIS = {"coronal": 0, "sagittal": 1}


@dataclass(frozen=True)
class Frame:
    """Which part of the world a picture shows, LPS mm.

    Attributes:
        left_mm: x (coronal) or y (sagittal) at its left edge.
        right_mm: the same at its right edge.
        top_mm: z at its upper edge.
        bottom_mm: z at its lower edge.
    """

    left_mm: float
    right_mm: float
    top_mm: float
    bottom_mm: float

    @property
    def width_mm(self) -> float:
        """From left to right."""
        return self.right_mm - self.left_mm

    @property
    def height_mm(self) -> float:
        """From top to bottom."""
        return self.top_mm - self.bottom_mm


@dataclass(frozen=True, eq=False)
class View:
    """A picture.

    Attributes:
        grey: (rows, columns) uint8, the scan in a bone window.
        labels: (rows, columns) uint8, label of the mask.
        inside: (rows, columns) bool, False outside of the scan.
    """

    grey: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    inside: npt.NDArray[np.bool_]


class Course:
    """Where the spine lies at each height.

    Args:
        points_lps_mm: (N, 3) centres of vertebrae in any order; without any, the middle of the
            scan.
        grid: of the scan.
    """

    def __init__(self, points_lps_mm: Sequence[Sequence[float]], grid: Grid) -> None:
        self.grid = grid
        points = np.asarray(points_lps_mm, dtype=np.float64).reshape(-1, 3)
        self.points = points if len(points) else np.array([grid.centre_lps_mm])
        order = np.argsort(self.points[:, 2])
        heights, first = np.unique(self.points[order, 2], return_index=True)
        self._heights, self._places = heights, self.points[order][first]
        self._found = len(points) > 0

    def at(self, z_mm: npt.ArrayLike) -> FloatArray:
        """Points (..., 3) LPS mm of the spine at heights; beyond its ends it leads on a little."""
        z = np.asarray(z_mm, dtype=np.float64)
        low, high = self._heights[0], self._heights[-1]
        if len(self._heights) == 1:
            place = np.broadcast_to(self._places[0], (*z.shape, 3)).copy()
        else:
            from scipy.interpolate import PchipInterpolator  # a fifth of all that is imported

            curve = PchipInterpolator(self._heights, self._places, axis=0)
            place = np.asarray(curve(np.clip(z, low, high)))
            place += self._lead(z - high, -1) + self._lead(low - z, 0)
        place[..., 2] = z
        return place

    def frame(self, plane: Plane) -> Frame:
        """What the picture of a plane shows: the spine and its surroundings, within the scan."""
        first, last = (
            self.grid.corners_lps_mm(0.5).min(axis=0),
            self.grid.corners_lps_mm(0.5).max(axis=0),
        )
        beyond = _BEYOND_MM if self._found else np.inf
        bottom = max(float(first[2]), float(self._heights[0]) - beyond)
        top = min(float(last[2]), float(self._heights[-1]) + beyond)
        axis, (before, after) = _AXIS[plane], _MARGINS_MM[plane]
        if not self._found:
            before = after = np.inf
        spine = self.at(np.linspace(bottom, top, 64))[:, axis]
        left = max(float(first[axis]), float(spine.min()) - before)
        right = min(float(last[axis]), float(spine.max()) + after)
        return Frame(left, right, top, bottom)

    def _lead(self, beyond_mm: FloatArray, end: int) -> FloatArray:
        """Shift of the course beyond one of its ends (..., 3)."""
        inner = -2 if end == -1 else 1
        step = self._places[end] - self._places[inner]
        slope = np.clip(step / max(abs(step[2]), 1.0), -1.0, 1.0)
        return np.clip(beyond_mm, 0.0, _LEAD_MM)[..., None] * slope


def reformat(
    image: Image, labels: npt.NDArray[np.uint8], course: Course, plane: Plane, pixel_mm: float
) -> View:
    """The picture of a plane through the course of the spine.

    Args:
        image: the scan.
        labels: its mask, (i, j, k).
        course: where the spine lies.
        plane: ``"sagittal"``: front left, back right; ``"coronal"``: the patient's right left.
        pixel_mm: size of a pixel.
    """
    frame, axis = course.frame(plane), _AXIS[plane]
    rows = max(1, round(frame.height_mm / pixel_mm))
    columns = max(1, round(frame.width_mm / pixel_mm))
    z = frame.top_mm - (np.arange(rows) + 0.5) * pixel_mm
    across = frame.left_mm + (np.arange(columns) + 0.5) * pixel_mm
    points = course.at(z)
    points[:, axis] = across[0]
    ahead = np.zeros(3)
    ahead[axis] = pixel_mm
    lines = Lines.of(image.grid, points, ahead, columns)
    depth = np.zeros(3)
    depth[1 - axis] = 1.0
    shift = np.linalg.inv(image.grid.affine_lps)[:3, :3] @ depth
    values = lines.mean(image.array, np.outer(_SLAB_MM, shift))
    return View(_windowed(values, image), lines.nearest(labels), lines.inside())


def _windowed(values: npt.NDArray[Any], image: Image) -> npt.NDArray[np.uint8]:
    """Grey levels of a bone window, or of the range that is there if the values are not HU."""
    low, high = _WINDOW_HU
    if image.intensities == "unknown":
        low, high = (float(np.percentile(values, share)) for share in (1.0, 99.8))
    scaled = (values - low) / max(high - low, 1e-3) * 255.0
    return np.clip(scaled, 0, 255).astype(np.uint8)
