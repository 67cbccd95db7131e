"""From the parameters of a subject to a CT volume with labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from vertseg.grid import Grid
from vertseg.phantom.abdomen import (
    aortic_plaques,
    bowels,
    great_vessels,
    pelvic_organs,
    solid_organs,
)
from vertseg.phantom.bone import Skeleton
from vertseg.phantom.canvas import Canvas, Ripple
from vertseg.phantom.chest import chest_organs, neck_organs, paint_lungs
from vertseg.phantom.coarse import texture
from vertseg.phantom.envelopes import Envelopes, build_envelopes
from vertseg.phantom.fields import Array
from vertseg.phantom.head import brain, head_bones
from vertseg.phantom.patch import cut_patch
from vertseg.phantom.pelvis import pelvic_bones
from vertseg.phantom.soft_spine import canal_contents, discs, foramina, long_muscles
from vertseg.phantom.spine import Spine, Variant, draw_spine
from vertseg.phantom.thorax import rib_bones, shoulder_bones, sternum_bone
from vertseg.phantom.tissues import Tissue
from vertseg.phantom.torso import Habitus, Torso, draw_habitus
from vertseg.phantom.vertebra import vertebra_box, vertebra_shape

JOINT_GAP_MM = 0.9


@dataclass(frozen=True, eq=False)
class Subject:
    """Everything random about a subject, drawn once.

    Attributes:
        spine: the posed vertebrae.
        habitus: body build.
        trabecular_hu: cancellous bone of L1; the neck's is denser.
        cortical_hu: compact bone, before the scanner blurs it.
        blood_hu: 40 without contrast medium.
        arch_gain_hu: how much denser the inside of the vertebral arches is.
        muscle_hu, muscle_bulk: muscle.
        fat_streaks: share of fat in the muscles.
        table_hu: shell of the couch.
        plaques: calcified spots on the aorta.
        seed: of the organs' and textures' details.
    """

    spine: Spine
    habitus: Habitus
    trabecular_hu: float
    cortical_hu: float
    blood_hu: float
    arch_gain_hu: float
    muscle_hu: float
    muscle_bulk: float
    fat_streaks: float
    table_hu: float
    plaques: int
    seed: int


def draw_subject(seed: int, variant: Variant = "usual", fractures: float = 0.0) -> Subject:
    """Draw a subject from a seed (see `draw_spine` for the options)."""
    rng = np.random.default_rng(seed)
    return Subject(
        spine=draw_spine(rng, variant, fractures),
        habitus=draw_habitus(rng),
        trabecular_hu=float(np.clip(rng.normal(165, 35), 90, 240)),
        cortical_hu=float(rng.uniform(1150, 1500)),
        blood_hu=float(rng.choice([42.0, 45.0, 140.0])),
        arch_gain_hu=float(rng.uniform(60, 260)),
        muscle_hu=float(rng.uniform(48, 62)),
        muscle_bulk=float(rng.normal(1.0, 0.07)),
        fat_streaks=float(rng.uniform(0.0, 0.5)),
        table_hu=float(rng.choice([-300.0, -150.0, 200.0])),
        plaques=int(rng.choice([0, 0, 4, 12])),
        seed=int(rng.integers(2**31)),
    )


def build_skeleton(subject: Subject, torso: Torso, grid: Grid) -> Skeleton:
    """All bones that touch the grid."""
    spine = subject.spine
    skeleton = Skeleton(grid.size)
    for vertebra in spine.vertebrae:
        lower, upper = vertebra_box(vertebra)
        patch = cut_patch(grid, vertebra.frame, lower, upper)
        if patch is not None:
            gain = {"cervical": 1.45, "thoracic": 1.15, "lumbar": 1.0}[vertebra.region]
            shape = vertebra_shape(
                patch, vertebra, gain * subject.trabecular_hu, subject.arch_gain_hu
            )
            skeleton.add(patch.slices, vertebra.label, shape)
    bones = [*pelvic_bones(spine), *rib_bones(spine, torso), sternum_bone(torso)]
    for bone in [*bones, *shoulder_bones(torso), *head_bones(spine)]:
        skeleton.add_plain(grid, bone)
    return skeleton


def paint_body(subject: Subject, grid: Grid) -> Canvas:
    """Paint a subject on a grid, without noise; HU as float32."""
    spine, rng = subject.spine, np.random.default_rng(subject.seed)
    torso = Torso(spine, subject.habitus)
    canvas = Canvas(grid, Ripple(rng))
    skeleton = build_skeleton(subject, torso, grid)
    blotch = texture(rng, grid, (4.0, 4.0, 4.0))
    body = build_envelopes(grid, spine, torso, canvas.ripple, rng)
    _paint_envelopes(canvas, body, subject, blotch)
    lung = np.maximum(body.lung, np.float32(2.2) - skeleton.nearest)
    paint_lungs(canvas, lung, body.gravity, spine, rng)
    blood = subject.blood_hu
    organs = [
        *solid_organs(spine, torso, blood),
        *bowels(rng, spine, torso),
        *pelvic_organs(spine),
        *long_muscles(spine, subject.muscle_bulk),
        *chest_organs(spine, blood),
        *great_vessels(spine, blood),
        *aortic_plaques(rng, spine, subject.plaques),
        *brain(spine),
        *neck_organs(spine, blood),
        *foramina(spine),
        *canal_contents(spine),
        *discs(spine),
    ]
    for organ in organs:
        canvas.paint(organ)
    _mottle(canvas, subject, blotch, texture(rng, grid, (1.6, 1.6, 7.0)), skeleton.nearest)
    _paint_bones(canvas, skeleton, subject, rng)
    return canvas


def _paint_envelopes(canvas: Canvas, body: Envelopes, subject: Subject, blotch: Array) -> None:
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


def _mottle(canvas: Canvas, subject: Subject, blotch: Array, streaks: Array, bone: Array) -> None:
    """Uneven soft tissue: fat streaks in muscle, stool, and slow changes elsewhere."""
    muscle = canvas.labels == Tissue.MUSCLE
    threshold = 2.0 - subject.fat_streaks - 1.0 * np.clip(1 - bone / 6, 0, 1)
    fat = np.clip(1.6 * (streaks + 0.4 * blotch - threshold), 0, 1.2) * 90
    canvas.hu[muscle] += (4 * blotch - fat)[muscle]
    bowel = (canvas.labels == Tissue.BOWEL) & (canvas.hu > -200)
    canvas.hu[bowel] += 16 * blotch[bowel]
    solid = (canvas.labels >= Tissue.HEART) & (canvas.labels <= Tissue.STOMACH)
    canvas.hu[solid] += (3 * blotch)[solid]
    disc = canvas.labels == Tissue.DISC
    canvas.hu[disc] += (8 * blotch)[disc]


def _paint_bones(
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
