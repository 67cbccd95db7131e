"""How the tissues look: body wall, unevenness of soft tissue, bone as a scanner blurs it."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from vertseg.phantom.bone import Skeleton
from vertseg.phantom.canvas import Canvas
from vertseg.phantom.coarse import texture
from vertseg.phantom.envelopes import Envelopes
from vertseg.phantom.fields import Array
from vertseg.phantom.subject import Subject
from vertseg.phantom.tissues import Tissue

JOINT_GAP_MM = 0.9


def paint_envelopes(canvas: Canvas, body: Envelopes, subject: Subject, blotch: Array) -> None:
    """Paint couch, skin, fat, muscle and fat of the cavity, which `blotch` (x, y, z) varies."""
    canvas.cavity = body.cavity
    whole = (slice(None), slice(None), slice(None))
    canvas.fill(whole, _couch_shell(canvas, body.couch), subject.table_hu, Tissue.TABLE)
    canvas.fill(whole, body.skin, 35.0, Tissue.SKIN)
    canvas.fill(whole, body.skin + 2.0, -108 + 4 * blotch, Tissue.FAT)
    canvas.fill(whole, body.muscle, subject.muscle_hu, Tissue.MUSCLE)
    _fascia(canvas, body.muscle, blotch, body.drift)
    canvas.fill(whole, body.cavity, -102 + 5 * blotch, Tissue.FAT)


def _fascia(canvas: Canvas, muscle: Array, blotch: Array, drift: Array) -> None:
    """Thin broken sheets of fat between the layers of the body wall."""
    for depth, wobble, sign in ((7.0, 2.0, 1.0), (14.0, 4.0, -1.0)):
        sheet = np.abs(muscle + depth + wobble * drift + 0.6 * blotch) - 0.5
        share = np.clip(0.5 - sheet / 1.6, 0, 1)
        share *= np.clip(0.5 + 0.5 * blotch + 0.6 * sign * drift, 0, 1) * (muscle < 0)
        canvas.hu -= 110 * share


def _couch_shell(canvas: Canvas, height: Array) -> Array:
    """Signed distance to the two thin skins of the couch."""
    return np.minimum(np.abs(height), np.abs(height + np.float32(40))) - np.float32(1.0)


def mottle(canvas: Canvas, subject: Subject, blotch: Array, streaks: Array, bone: Array) -> None:
    """Uneven soft tissue: fat streaks in muscle, stool, and slow changes elsewhere.

    Args:
        canvas: where to paint.
        subject: how much fat there is.
        blotch, streaks: (x, y, z) slow and fine texture, about -1 to 1.
        bone: (x, y, z) signed distance to bone, mm.
    """
    muscle = canvas.labels == Tissue.MUSCLE
    threshold = 2.0 - subject.fat_streaks - 1.0 * np.clip(1 - bone / 6, 0, 1)
    fat = np.clip(1.6 * (streaks + 0.4 * blotch - threshold), 0, 1.0) * 80
    canvas.hu[muscle] += (4 * blotch - fat)[muscle]
    bowel = (canvas.labels == Tissue.BOWEL) & (canvas.hu > -200)
    canvas.hu[bowel] += 16 * blotch[bowel]
    solid = (canvas.labels >= Tissue.HEART) & (canvas.labels <= Tissue.STOMACH)
    canvas.hu[solid] += (3 * blotch)[solid]
    disc = canvas.labels == Tissue.DISC
    canvas.hu[disc] += (8 * blotch)[disc]


def paint_bones(
    canvas: Canvas, skeleton: Skeleton, subject: Subject, rng: np.random.Generator
) -> None:
    """Lay the bones over the soft tissue: cortex and cancellous core as a scanner blurs them."""
    grain = texture(rng, canvas.grid, (0.5, 0.5, 0.8))
    patchy = texture(rng, canvas.grid, (2.2, 2.2, 3.0))
    distance = skeleton.distance(JOINT_GAP_MM)
    near = distance < 4.0
    blur = np.hypot(0.6, 0.42 * float(np.prod(canvas.grid.spacing)) ** (1 / 3))
    d = distance[near]
    sclerosis = 160 * np.exp(-((skeleton.second[near] / 3.0) ** 2)) * (skeleton.second[near] < 8)
    core = skeleton.core[near] + sclerosis
    hard = skeleton.shell[near] > 0
    core += hard * (
        0.16 * subject.trabecular_hu * grain[near] + 0.13 * subject.trabecular_hu * patchy[near]
    )
    inside = ndtr(-d / blur)
    shell = skeleton.shell[near] * np.clip(1 + 0.4 * patchy[near], 0.35, 2.0)
    deep = ndtr((-d - shell) / blur)
    cortex = subject.cortical_hu * (1 + 0.05 * grain[near])
    canvas.hu[near] += inside * (0 - canvas.hu[near]) + (inside - deep) * cortex + deep * core
    bone = distance < 0
    canvas.labels[bone] = skeleton.label[bone]
