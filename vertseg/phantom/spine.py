"""The course of the spine: which vertebrae there are, how large, and how each one is posed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vertseg.labels import label_of, region_of
from vertseg.phantom.dimensions import LevelSize, size_of
from vertseg.phantom.fields import unit
from vertseg.phantom.patch import Frame

Variant = Literal["usual", "L6", "T13", "no_T12", "no_L5"]

_USUAL = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 13)),
    *(f"L{n}" for n in range(1, 6)),
)
_SACRAL_SLOPE_DEG = 42.0
_ANCHOR = "L1"


@dataclass(frozen=True)
class Variation:
    """How one vertebra differs from the mean of its level.

    Attributes:
        wedge_deg: extra height in front (+) as an angle between the end plates.
        concavity_mm: depth of each end plate.
        lip_mm: osteophyte at the rims.
        spinous_turn_deg, spinous_fall_deg: deviation of the spinous process sideways, downwards.
        spinous_stretch, transverse_stretch: lengths against the mean; transverse (left, right).
        transverse_lift_mm: rise of the transverse tips (left, right).
        facet_turn_deg: facet angle against the mean (left, right).
        ripple: (3, 4) phases of the surface's low-frequency unevenness.
        collapse: share of the front height lost to a fracture, 0 for none.
    """

    wedge_deg: float
    concavity_mm: float
    lip_mm: float
    spinous_turn_deg: float
    spinous_fall_deg: float
    spinous_stretch: float
    transverse_stretch: tuple[float, float]
    transverse_lift_mm: tuple[float, float]
    facet_turn_deg: tuple[float, float]
    ripple: tuple[tuple[float, ...], ...]
    collapse: float


@dataclass(frozen=True, eq=False)
class PosedVertebra:
    """One vertebra in place: its frame has x to the left, y to the back, z up along the spine.

    Attributes:
        name: such as ``"T12"``.
        size: dimensions, scaled to the subject.
        height: middle height of the body, mm.
        gap_above, gap_below: distance to the neighbouring centres, mm.
        frame: origin in the centre of the body.
        variation: its own shape.
    """

    name: str
    size: LevelSize
    height: float
    gap_above: float
    gap_below: float
    frame: Frame
    variation: Variation

    @property
    def label(self) -> int:
        """VerSe label."""
        return label_of(self.name)

    @property
    def region(self) -> str:
        """``"cervical"``, ``"thoracic"`` or ``"lumbar"``."""
        return region_of(self.label)


@dataclass(frozen=True, eq=False)
class Spine:
    """All vertebrae from C1 down, and the frame of the first sacral segment."""

    vertebrae: tuple[PosedVertebra, ...]
    sacrum: Frame
    scale: float

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n + 1, 3) centres in LPS mm; the last one is that of S1."""
        return np.array([*(v.frame.origin for v in self.vertebrae), self.sacrum.origin])

    def vertebra(self, name: str) -> PosedVertebra:
        """The vertebra of that name; KeyError when this spine has none."""
        return {v.name: v for v in self.vertebrae}[name]

    def point(self, level: float) -> NDArray[np.float64]:
        """LPS point (3,) on the course at a level: C1 is 1, T1 is 8, L1 is 20, S1 is 25.

        Fractions lie between centres; levels beyond the ends are extended straight. Numbering
        variants are stretched onto the usual count, so that organs keep their place.
        """
        centres = self.centres
        position = (level - 1.0) * (len(centres) - 1) / 24.0
        low = int(np.clip(np.floor(position), 0, len(centres) - 2))
        return centres[low] + (position - low) * (centres[low + 1] - centres[low])


def level_names(variant: Variant) -> tuple[str, ...]:
    """Vertebrae of a numbering variant from C1 downwards."""
    names = list(_USUAL)
    if variant == "L6":
        names.append("L6")
    elif variant == "T13":
        names.insert(names.index("L1"), "T13")
    elif variant == "no_T12":
        names.remove("T12")
    elif variant == "no_L5":
        names.remove("L5")
    elif variant != "usual":
        raise ValueError(f"variant must be usual, L6, T13, no_T12 or no_L5, got {variant!r}")
    return tuple(names)


def draw_spine(
    rng: np.random.Generator, variant: Variant = "usual", fractures: float = 0.0
) -> Spine:
    """Draw a spine.

    Args:
        rng: source of every random number.
        variant: numbering.
        fractures: share of the thoracic and lumbar vertebrae that are collapsed.
    """
    names = level_names(variant)
    scale = float(np.clip(rng.normal(1.0, 0.055), 0.88, 1.12))
    jitter = np.clip(rng.normal(1.0, 0.025, len(names)), 0.93, 1.07)
    sizes = [_scaled(size_of(n), scale * j) for n, j in zip(names, jitter, strict=True)]
    discs = np.array([s.disc for s in sizes]) * np.clip(rng.normal(1, 0.13, len(names)), 0.5, 1.4)
    gaps = np.array([s.to_next for s in sizes]) + discs - np.array([s.disc for s in sizes])
    above, over = (np.concatenate([v[:1], v[:-1]]) for v in (gaps, discs))
    heights = 0.5 * (above - over + gaps - discs)
    angles = _draw_angles(rng, sizes)
    shift = rng.uniform((-15, -40, -300), (15, 40, 300))
    turns = rng.normal(0, 1.5, len(names))
    variations = [_draw_variation(rng, name, fractures) for name in names]
    lost = np.array([v.collapse for v in variations]) * heights
    gaps = gaps - 0.25 * (lost + np.append(lost[1:], 0.0))
    depths = np.array([s.depth_upper for s in sizes])
    tangents = _directions(angles[0] + _hunch(lost / depths), angles[1])
    centres = np.vstack([np.zeros(3), np.cumsum(gaps[:, None] * tangents, axis=0)])
    centres += shift - centres[names.index(_ANCHOR)]
    frames, above = _frames(centres, turns), np.concatenate([gaps[:1], gaps[:-1]])
    vertebrae = tuple(
        PosedVertebra(n, s, float(h), float(a), float(g), f, v)
        for n, s, h, a, g, f, v in zip(
            names, sizes, heights, above, gaps, frames, variations, strict=True
        )
    )
    slope = np.deg2rad(_SACRAL_SLOPE_DEG + rng.normal(0, 5))
    sacrum = Frame(centres[-1], _axes(np.array([0.0, -np.sin(slope), np.cos(slope)]), 0.0))
    return Spine(vertebrae, sacrum, scale)


def _scaled(size: LevelSize, factor: float) -> LevelSize:
    angles = ("spinous_slope", "pedicle_angle", "facet_angle", "next_angle")
    lengths = [f.name for f in fields(LevelSize) if f.name not in angles]
    return replace(size, **{name: factor * getattr(size, name) for name in lengths})


def _draw_angles(
    rng: np.random.Generator, sizes: list[LevelSize]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sagittal and coronal angle, radians, of the step below each vertebra."""
    count = len(sizes)
    place = np.linspace(0, 1, count)
    sagittal = np.array([s.next_angle for s in sizes])
    bends = rng.normal(0, 1, 3) * (6.0, 5.0, 4.0)
    for bend, centre, width in zip(bends, (0.1, 0.45, 0.9), (0.15, 0.2, 0.15), strict=True):
        sagittal = sagittal + bend * np.exp(-(((place - centre) / width) ** 2))
    sagittal = np.deg2rad(sagittal + rng.normal(0, 1.5, count))
    wave = rng.normal(0, 2.5) * np.sin(2 * np.pi * (rng.uniform(1, 2) * place + rng.uniform()))
    return sagittal, np.deg2rad(wave + rng.normal(0, 0.8, count))


def _hunch(wedges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sagittal angles added by wedged bodies (radians each), fading over the neighbours."""
    below = np.arange(len(wedges))[:, None] - np.arange(len(wedges))  # step below i, wedge of j
    fade = np.exp(-np.abs(below + 0.5) / 3.0)
    return -0.35 * np.sum(np.where(below >= 0, 1.0, -1.0) * fade * wedges, axis=1)


def _directions(sagittal: NDArray[np.float64], coronal: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) unit steps downwards at these angles."""
    steps = np.stack([np.sin(coronal), np.sin(sagittal), -np.cos(sagittal)], axis=1)
    return steps / np.linalg.norm(steps, axis=1, keepdims=True)


def _axes(up: NDArray[np.float64], turn_deg: float) -> NDArray[np.float64]:
    """Rows x (left), y (back), z (up); `turn_deg` turns about z."""
    z = unit(up)
    back = np.array([np.sin(np.deg2rad(turn_deg)), np.cos(np.deg2rad(turn_deg)), 0.0])
    y = unit(back - np.dot(back, z) * z)
    return np.stack([np.cross(y, z), y, z])


def _frames(centres: NDArray[np.float64], turns_deg: NDArray[np.float64]) -> list[Frame]:
    steps = centres[:-1] - centres[1:]
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    above = np.vstack([steps[:1], steps[:-1]])
    return [
        Frame(centre, _axes(a + b, turn))
        for centre, a, b, turn in zip(centres, above, steps, turns_deg, strict=False)
    ]


def _draw_variation(rng: np.random.Generator, name: str, fractures: float) -> Variation:
    pair = rng.normal(0, 1, (3, 2))
    broken = bool(rng.random() < fractures) and name[0] in "TL"
    lumbar, thoracic = name[0] == "L", name[0] == "T"
    wedge = {"L5": 8.0, "L4": 2.0, "T12": -2.5, "L1": -2.5}.get(name, -3.0 if thoracic else 0.0)
    return Variation(
        wedge_deg=float(wedge + rng.normal(0, 1.2)),
        concavity_mm=float(np.clip(rng.normal(1.9 if lumbar else 1.1, 0.5), 0.2, 3.5)),
        lip_mm=float(np.clip(rng.normal(0.7, 0.7), 0.0, 3.0)),
        spinous_turn_deg=float(rng.normal(0, 4)),
        spinous_fall_deg=float(rng.normal(0, 3)),
        spinous_stretch=float(np.clip(rng.normal(1, 0.06), 0.8, 1.2)),
        transverse_stretch=_pair(1 + 0.05 * pair[0]),
        transverse_lift_mm=_pair(1.2 * pair[1]),
        facet_turn_deg=_pair(5.0 * pair[2]),
        ripple=tuple(tuple(float(p) for p in row) for row in rng.uniform(0, 2 * np.pi, (3, 4))),
        collapse=float(rng.uniform(0.2, 0.5)) if broken else 0.0,
    )


def _pair(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values[0]), float(values[1])
