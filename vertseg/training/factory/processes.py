"""Spinous processes of one patient: how far they slope and reach, and that they do not collide."""

from __future__ import annotations

import numpy as np

from vertseg.training.factory.atlas import Atlas
from vertseg.training.factory.noise import smooth_noise

PROCESS_BEHIND_MM = 26.0
"""How far behind the centre of a vertebra spinous processes begin."""

_PITCH = np.zeros(24)
_PITCH[7:24] = -0.45, -0.25, -0.3, 0.05, 0.4, 0.3, 0.5, 0.5, 0.4, 0, 0.1, 0, *[-0.15] * 5
_STRETCH = np.ones(24)
_STRETCH[7:16] = 0.75, 1.0, 1.15, 1.5, 2.0, 2.0, 2.0, 1.3, 1.2
"""What the atlas's spinous processes lack: those of T5-T9 are short and too level, where usual ones
reach 53 mm behind the body and slope down by 58 degrees at T6, but 30 at T1 (Panjabi et al., Spine
1991;16:888; PMC4857161). For C1-L5: how much further they slope down, in mm per mm, and how much
longer they are."""

_PITCH_SD, _STRETCH_SD = (0.15, 0.05), (0.1, 0.05)
"""How they differ between patients, along the spine and from one to the next: by 8 degrees in
slope, by a tenth in length."""

_LEAST_GAP = np.array([0.65] * 5 + [0.85] * 3 + [0.7] * 12 + [0.65] * 3)
"""How far the tip of a process lies above that of the next one at least, C1-C2 to L4-L5, as a share
of the step between their centres. Where a spine bends backward, processes touch but cannot pass
through each other: they lie flatter or steeper than usual."""

_ROUNDS = 30
_MAX_PITCH = 1.0


def draw_processes(
    points_lps_mm: np.ndarray,
    shapes: np.ndarray,
    to_shape: np.ndarray,
    atlas: Atlas,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Pitch (mm further down per mm) and stretch (a factor) of the processes, each of shape (n,).

    Args:
        points_lps_mm: where each level's centre lies, shape (n, 3).
        shapes: atlas level index of the bone of each, shape (n,).
        to_shape: matrices from patient to atlas offsets, shape (n, 3, 3).
        atlas: knows where the tips of its processes lie.
        rng: draws how this patient differs from the usual.
    """
    n = len(shapes)
    pitch, stretch = (
        smooth_noise(n, along, rng) + rng.normal(0.0, single, n)
        for along, single in (_PITCH_SD, _STRETCH_SD)
    )
    pitch = np.clip(_PITCH[shapes] + np.clip(pitch, -0.4, 0.4), -0.7, 0.7)
    stretch = _STRETCH[shapes] * np.exp(np.clip(stretch, -0.3, 0.3))
    return _apart(pitch, stretch, points_lps_mm, shapes, to_shape, atlas), stretch


def process_axes(
    shapes: np.ndarray,
    to_shape: np.ndarray,
    pitch: np.ndarray,
    stretch: np.ndarray,
    atlas: Atlas,
) -> np.ndarray:
    """From the centre of each vertebra to the tip of its spinous process, LPS mm, shape (n, 3)."""
    axes = _unsloped(shapes, to_shape, atlas)
    length = _lengths(axes, stretch)
    axes[:, 1] += (1.0 - 1.0 / stretch) * length
    return axes - (pitch * length)[:, None] * _upward(to_shape)


def _unsloped(shapes: np.ndarray, to_shape: np.ndarray, atlas: Atlas) -> np.ndarray:
    axes = (atlas.tips_lps_mm - atlas.centres_lps_mm)[shapes]
    return np.linalg.solve(to_shape, axes[..., None])[..., 0]


def _lengths(axes: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    return stretch * np.maximum(axes[:, 1] - PROCESS_BEHIND_MM, 0.0)


def _upward(to_shape: np.ndarray) -> np.ndarray:
    """What a millimetre upward in the atlas is in the patient, shape (n, 3)."""
    return np.linalg.solve(to_shape, np.broadcast_to([[0.0], [0.0], [1.0]], (len(to_shape), 3, 1)))[
        ..., 0
    ]


def _apart(
    pitch: np.ndarray,
    stretch: np.ndarray,
    points_lps_mm: np.ndarray,
    shapes: np.ndarray,
    to_shape: np.ndarray,
    atlas: Atlas,
) -> np.ndarray:
    """The pitches, changed until neighbouring tips are as far apart as bones must be.

    The upper process of a pair that is too close rises, the lower one sinks, each by half of what
    is missing.
    """
    step = np.linalg.norm(np.diff(points_lps_mm, axis=0), axis=1)
    least = _LEAST_GAP[np.minimum(shapes[:-1], len(_LEAST_GAP) - 1)] * step
    up = _upward(to_shape[:-1]) + _upward(to_shape[1:])
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    length = np.maximum(_lengths(_unsloped(shapes, to_shape, atlas), stretch), 6.0)
    pitch = pitch.copy()
    for _ in range(_ROUNDS):
        tips = points_lps_mm + process_axes(shapes, to_shape, pitch, stretch, atlas)
        missing = np.maximum(least - ((tips[:-1] - tips[1:]) * up).sum(1), 0.0)
        if not missing.any():
            break
        pitch[:-1] -= 0.5 * missing / length[:-1]
        pitch[1:] += 0.5 * missing / length[1:]
        pitch = np.clip(pitch, -_MAX_PITCH, _MAX_PITCH)
    return pitch
