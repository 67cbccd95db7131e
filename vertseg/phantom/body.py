"""From the parameters of a subject to a CT volume with labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from vertseg.grid import Grid
from vertseg.phantom.abdomen import aortic_plaques, bowels, great_vessels, pelvic_organs, solid_organs
from vertseg.phantom.bone import Skeleton
from vertseg.phantom.canvas import Canvas, Organ, texture
from vertseg.phantom.chest import chest_organs, neck_organs, paint_lungs
from vertseg.phantom.fields import Array, Limb, vector
from vertseg.phantom.head import head_bones, head_envelope, head_frame
from vertseg.phantom.patch import Patch, cut_patch, whole_patch
from vertseg.phantom.pelvis import pelvic_bones
from vertseg.phantom.soft_spine import canal_contents, discs, foramina, long_muscles
from vertseg.phantom.spine import Spine, Variant, draw_spine
from vertseg.phantom.thorax import rib_bones, shoulder_bones, sternum_bone
from vertseg.phantom.tissues import Tissue
from vertseg.phantom.torso import Habitus, Torso, draw_habitus
from vertseg.phantom.vertebra import vertebra_box, vertebra_shape

JOINT_GAP_MM = 1.2


@dataclass(frozen=True, eq=False)
class Subject:
    """Everything random about a subject, drawn once.

    Attributes:
        spine: the posed vertebrae.
        habitus: body build.
        trabecular_hu: cancellous bone of L1; the neck's is denser.
        cortical_hu: compact bone, before the scanner blurs it.
        blood_hu: 40 without contrast medium.
        muscle_hu, muscle_bulk: muscle.
        fat_streaks: share of fat in the muscles.
        plaques: calcified spots on the aorta.
        seed: of the organs' and textures' details.
    """

    spine: Spine
    habitus: Habitus
    trabecular_hu: float
    cortical_hu: float
    blood_hu: float
    muscle_hu: float
    muscle_bulk: float
    fat_streaks: float
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
        muscle_hu=float(rng.uniform(48, 62)),
        muscle_bulk=float(rng.normal(1.0, 0.07)),
        fat_streaks=float(rng.uniform(0.0, 0.5)),
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
            shape = vertebra_shape(patch, vertebra, gain * subject.trabecular_hu)
            skeleton.add(patch.slices, vertebra.label, shape)
    bones = [*pelvic_bones(spine), *rib_bones(spine, torso), sternum_bone(torso)]
    for bone in [*bones, *shoulder_bones(torso), *head_bones(spine)]:
        skeleton.add_plain(grid, bone)
    return skeleton


def paint_body(subject: Subject, grid: Grid) -> Canvas:
    """Paint a subject on a grid, without noise; HU as float32."""
    spine, rng = subject.spine, np.random.default_rng(subject.seed)
    torso, canvas, whole = Torso(spine, subject.habitus), Canvas(grid), whole_patch(grid)
    skeleton = build_skeleton(subject, torso, grid)
    blotch = texture(rng, grid, (4.0, 4.0, 4.0))
    _paint_envelopes(canvas, whole, torso, subject, blotch)
    paint_lungs(canvas, whole, spine, skeleton.nearest, rng)
    blood = subject.blood_hu
    organs = [
        *solid_organs(spine, torso, blood), *bowels(rng, spine, torso), *pelvic_organs(spine),
        *long_muscles(spine, subject.muscle_bulk), *chest_organs(spine, blood),
        *great_vessels(spine, blood), *aortic_plaques(rng, spine, subject.plaques),
        *neck_organs(spine, blood), *foramina(spine), *canal_contents(spine), *discs(spine),
    ]
    for organ in organs:
        canvas.paint(organ)
    _mottle(canvas, subject, blotch, texture(rng, grid, (1.6, 1.6, 6.0)))
    _paint_bones(canvas, skeleton, subject, rng)
    return canvas


def _paint_envelopes(
    canvas: Canvas, whole: Patch, torso: Torso, subject: Subject, blotch: Array
) -> None:
    skin, muscle = torso.distance(whole, "skin"), torso.distance(whole, "muscle")
    for distance, solids, frame in _extremities(subject.spine, torso):
        lower = np.min([s.bounds()[0] for s in solids], axis=0) - 12
        upper = np.max([s.bounds()[1] for s in solids], axis=0) + 12
        patch = cut_patch(canvas.grid, frame, lower, upper)
        if patch is not None:
            limb = patch.fuse(solids, 12.0, margin=12.0)
            np.minimum(skin[patch.slices], limb - distance, out=skin[patch.slices])
            np.minimum(muscle[patch.slices], limb, out=muscle[patch.slices])
    canvas.cavity = torso.distance(whole, "cavity")
    back = _table(whole, skin, torso)
    canvas.fill(whole.slices, back, -180.0, Tissue.TABLE)
    canvas.fill(whole.slices, skin, 35.0, Tissue.SKIN)
    canvas.fill(whole.slices, skin + 2.0, -108 + 4 * blotch, Tissue.FAT)
    canvas.fill(whole.slices, muscle, subject.muscle_hu, Tissue.MUSCLE)
    canvas.fill(whole.slices, canvas.cavity, -102 + 5 * blotch, Tissue.FAT)


def _extremities(spine: Spine, torso: Torso):  # noqa: ANN202
    frame = head_frame(spine)
    yield 4.0, head_envelope(), frame
    arms = []
    for bone in shoulder_bones(torso):
        if bone.label == Tissue.HUMERUS:
            head, shaft = bone.solids
            arms.append(Limb(vector(np.add(shaft.start, (0, 0, -25))), shaft.end, (36, 42), (36, 40)))
    yield 0.6 * torso.habitus.fat_mm + 2, tuple(arms), frame.world()


def _table(whole: Patch, skin: Array, torso: Torso) -> Array:
    """Signed distance to the two skins of a curved couch under the back."""
    lowest = max(torso.surface("skin", 0, torso.level_to_z(lv), 0)[1] for lv in (12, 16, 20, 24, 27))
    x, y = whole.x, whole.y
    bend = np.float32(lowest + 12.0) - x * x / np.float32(900.0) - y
    first = np.abs(bend) - np.float32(1.0)
    second = np.abs(bend + 42 - x * x / np.float32(2200.0)) - np.float32(1.0)
    reach = np.abs(x) - np.float32(230.0)
    return np.maximum(np.minimum(first, second), reach)


def _mottle(canvas: Canvas, subject: Subject, blotch: Array, streaks: Array) -> None:
    """Uneven soft tissue: fat streaks in muscle, stool, and slow changes elsewhere."""
    muscle = canvas.labels == Tissue.MUSCLE
    fat = np.clip(streaks - (2.1 - subject.fat_streaks), 0, 1.2) * 85
    canvas.hu[muscle] += (4 * blotch - fat)[muscle]
    bowel = (canvas.labels == Tissue.BOWEL) & (canvas.hu > -200)
    canvas.hu[bowel] += (22 * streaks)[bowel]
    solid = (canvas.labels >= Tissue.HEART) & (canvas.labels <= Tissue.STOMACH)
    canvas.hu[solid] += (3 * blotch)[solid]
    disc = canvas.labels == Tissue.DISC
    canvas.hu[disc] += (8 * blotch)[disc]


def _paint_bones(
    canvas: Canvas, skeleton: Skeleton, subject: Subject, rng: np.random.Generator
) -> None:
    """Lay the bones over the soft tissue: cortex and cancellous core as a scanner blurs them."""
    grain = texture(rng, canvas.grid, (0.7, 0.7, 1.1))
    patchy = texture(rng, canvas.grid, (4.0, 4.0, 5.0))
    distance = skeleton.distance(JOINT_GAP_MM)
    near = distance < 4.0
    blur = np.hypot(0.6, 0.42 * float(np.prod(canvas.grid.spacing)) ** (1 / 3))
    d = distance[near]
    sclerosis = 160 * np.exp(-((skeleton.second[near] / 3.0) ** 2)) * (skeleton.second[near] < 8)
    core = skeleton.core[near] + sclerosis
    hard = skeleton.shell[near] > 0
    core += hard * (0.2 * subject.trabecular_hu * grain[near] + 12 * patchy[near])
    inside = ndtr(-d / blur)
    deep = ndtr((-d - skeleton.shell[near]) / blur)
    cortex = subject.cortical_hu * (1 + 0.06 * patchy[near])
    canvas.hu[near] += inside * (0 - canvas.hu[near]) + (inside - deep) * cortex + deep * core
    bone = distance < 0
    canvas.labels[bone] = skeleton.label[bone]
