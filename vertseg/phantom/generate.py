"""Phantoms as values: what to make, the volume that comes out, and where its vertebrae are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import FloatArray, Grid
from vertseg.io.hounsfield import AIR_HU
from vertseg.labels import is_vertebra
from vertseg.phantom.body import paint_body
from vertseg.phantom.coarse import texture
from vertseg.phantom.patch import corners
from vertseg.phantom.spine import PosedVertebra, Variant
from vertseg.phantom.subject import Subject, draw_subject
from vertseg.phantom.tissues import Tissue
from vertseg.phantom.torso import Torso
from vertseg.phantom.vertebra import body_box, vertebra_box

if TYPE_CHECKING:
    from vertseg.io.image import Image

_MARGIN_MM = 6.0
_SACRUM_REACH_MM = (120.0, 60.0)  # below and above the middle of S1
_DIRECTIONS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic CT whose truth is known.

    Attributes:
        labels: uint8 (i, j, k): vertebrae by VerSe label, all else by `Tissue`; 0 is air.
            Vertebrae that the border cuts are labelled, too.
        hu: int16 (i, j, k), HU.
        grid: where the voxels lie.
        centroids: the vertebrae whose bodies lie wholly inside, from the head downwards; each is
            the middle of the body (of the dens for C1).
        subject: the drawn parameters.
    """

    labels: npt.NDArray[np.uint8]
    hu: npt.NDArray[np.int16]
    grid: Grid
    centroids: tuple[Centroid, ...]
    subject: Subject

    @property
    def image(self) -> Image:
        """The CT as an image in memory."""
        from vertseg.io.image import Image  # late: a phantom itself needs no reader of images

        return Image.from_array(self.hu, self.grid.affine_ras)

    def vertebra_mask(self, whole_only: bool = True) -> npt.NDArray[np.uint8]:
        """VerSe mask: uint8 (i, j, k), 0 outside vertebrae.

        Args:
            whole_only: leave out vertebrae without a centroid, as VerSe does.
        """
        present = {int(n) for n in np.unique(self.labels) if is_vertebra(int(n))}
        if whole_only:
            present &= {c.label for c in self.centroids}
        keep = np.zeros(256, dtype=np.uint8)
        keep[list(present)] = list(present)
        return keep[self.labels]


def make_phantom(
    levels: tuple[str, str] = ("T9", "L5"),
    spacing_mm: float | Sequence[float] = 1.5,
    seed: int = 0,
    *,
    field_mm: tuple[float, float] | None = (200.0, 200.0),
    orientation: str = "LPS",
    grid: Grid | None = None,
    variant: Variant = "usual",
    fractures: float = 0.0,
    noise_hu: float = 14.0,
) -> Phantom:
    """Make a phantom; the same arguments give the same volume.

    Args:
        levels: first and last vertebra that must lie wholly inside; the last may be ``"sacrum"``.
        spacing_mm: voxel size along i, j, k; one number or three.
        seed: of everything random.
        field_mm: width and depth of the field of view round the spine; None: the whole body.
        orientation: what i, j, k run towards, in nibabel's letters, such as ``"PIR"``.
        grid: where to put the voxels, in any pose; replaces levels, spacing, field, orientation.
            Level positions depend on the seed alone: see `draw_subject`.
        variant: numbering: ``"usual"``, ``"L6"``, ``"T13"``, ``"no_T12"`` or ``"no_L5"``.
        fractures: share of the thoracic and lumbar vertebrae that are collapsed.
        noise_hu: SD of the noise in the body.

    Raises:
        ValueError: unknown level, orientation or variant, or the levels are in the wrong order.
    """
    subject = draw_subject(seed, variant, fractures)
    if grid is None:
        lower, upper = field_of_view(subject, levels, field_mm)
        grid = box_grid(lower, upper, spacing_mm, orientation)
    canvas = paint_body(subject, grid)
    noise = texture(np.random.default_rng([subject.seed, 3]), grid, _noise_sigma(grid))
    strength = np.where(canvas.labels == Tissue.AIR, 0.5, 1.0).astype(np.float32)
    hu = canvas.hu + np.float32(noise_hu) * strength * noise
    centroids = tuple(
        Centroid.at(v.label, v.frame.origin) for v in subject.spine.vertebrae if _inside(v, grid)
    )
    rounded = np.clip(np.rint(hu), AIR_HU, 3071).astype(np.int16)
    return Phantom(canvas.labels, rounded, grid, centroids, subject)


def field_of_view(
    subject: Subject, levels: tuple[str, str], field_mm: tuple[float, float] | None
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper LPS corner (3,), mm, of a box that holds the levels (see `make_phantom`)."""
    boxes = [_level_box(subject, name) for name in levels]
    tops, bottoms = [b[1][2] for b in boxes], [b[0][2] for b in boxes]
    if boxes[0][0][2] < boxes[1][0][2]:
        raise ValueError(f"levels must run from the head downwards, got {levels}")
    middle = 0.5 * (np.min([b[0] for b in boxes], axis=0) + np.max([b[1] for b in boxes], axis=0))
    heights = [min(bottoms) - _MARGIN_MM, max(tops) + _MARGIN_MM]
    if field_mm is not None:
        half = 0.5 * np.asarray(field_mm, dtype=np.float64)
        lower, upper = middle[:2] - half, middle[:2] + half
    else:
        lower, upper = _body_extent(subject, heights)
    return np.array([*lower, heights[0]]), np.array([*upper, heights[1]])


def box_grid(
    lower_lps_mm: npt.ArrayLike,
    upper_lps_mm: npt.ArrayLike,
    spacing_mm: float | Sequence[float],
    orientation: str = "LPS",
) -> Grid:
    """A grid over a box, corners (3,), whose axes run towards the letters of `orientation`.

    Raises:
        ValueError: not three letters of three different axes.
    """
    if len(orientation) != 3 or {_DIRECTIONS.get(c, (9, 0))[0] for c in orientation} != {0, 1, 2}:
        raise ValueError(f"orientation must be three letters such as 'PIR', got {orientation!r}")
    lower, upper = np.asarray(lower_lps_mm, float), np.asarray(upper_lps_mm, float)
    steps = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    affine, size = np.eye(4), [1, 1, 1]
    affine[:3, :3] = 0
    for index, (letter, step) in enumerate(zip(orientation, steps, strict=True)):
        axis, sign = _DIRECTIONS[letter]
        affine[axis, index] = sign * step
        affine[axis, 3] = lower[axis] if sign > 0 else upper[axis]
        size[index] = max(int(np.floor((upper[axis] - lower[axis]) / step)) + 1, 1)
    return Grid((size[0], size[1], size[2]), affine)


def _level_box(subject: Subject, name: str) -> tuple[FloatArray, FloatArray]:
    spine = subject.spine
    if name.lower() == "sacrum":
        below, above = (reach * spine.scale for reach in _SACRUM_REACH_MM)
        middle = spine.sacrum.origin
        return middle - (60, 60, below), middle + (60, 60, above)
    known = {v.name: v for v in spine.vertebrae}
    if name.upper() not in known:
        raise ValueError(f"level must be one of {', '.join(known)}, sacrum; got {name!r}")
    vertebra = known[name.upper()]
    points = vertebra.frame.to_lps(corners(*vertebra_box(vertebra)))
    return points.min(axis=0), points.max(axis=0)


def _body_extent(subject: Subject, heights: list[float]) -> tuple[FloatArray, FloatArray]:
    """x, y of the box round the skin between two heights, with some air and the couch."""
    torso = Torso(subject.spine, subject.habitus)
    angles, levels = range(0, 360, 15), np.linspace(heights[0], heights[1], 25)
    skin = np.array([torso.surface("skin", a, z, 0.0) for a in angles for z in levels])
    return skin[:, :2].min(axis=0) - (15, 15), skin[:, :2].max(axis=0) + (15, 60)


def _noise_sigma(grid: Grid) -> tuple[float, float, float]:
    x, y, z = grid.spacing
    return 0.5 * x, 0.5 * y, 0.35 * z


def _inside(vertebra: PosedVertebra, grid: Grid) -> bool:
    return bool(grid.contains(vertebra.frame.to_lps(corners(*body_box(vertebra)))).all())
