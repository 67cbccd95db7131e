"""Whole synthetic scans with their truth, from spine courses that training never sees.

They are written as files, so that the program is judged on them as on any other data: prediction
by ``predict.py``, scores by ``python -m vertseg.evaluate``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import nibabel as nib
import numpy as np
from scipy import ndimage

from models import PRESETS
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import write_centroids
from vertseg.io.hounsfield import recognise
from vertseg.io.mask import write_mask
from vertseg.io.read import read_image
from vertseg.labels import name_of
from vertseg.stages.borders import HALF_BODY
from vertseg.system.atomic import write_json
from vertseg.training.factory import implants
from vertseg.training.factory.anatomy import Anatomy, draw_anatomy
from vertseg.training.factory.atlas import Atlas, load_atlas
from vertseg.training.factory.courses import Course, complete, read_courses, split_by_patient
from vertseg.training.factory.marrow import vary_bone
from vertseg.training.factory.outline import outlined
from vertseg.training.factory.pose import Body, pose
from vertseg.training.factory.soft_tissue import ANY_LENGTH, breathe, trim_ribs
from vertseg.training.factory.wear import degenerate
from vertseg.training.recipe import Recipe
from vertseg.training.sample import synthesis
from vertseg.training.sample.appearance import (
    NoiseBank,
    draw_paint,
    draw_scanner,
    draw_streaks,
)
from vertseg.training.sample.draw import Appearance
from vertseg.training.validate.extremes import EXTREMES

log = logging.getLogger(__name__)

MARKS = "marks.json"
"""File beside the cases: subject -> its marks."""

FIELDS = {
    "trunk": ("C7", "L5", 190.0),
    "lumbar": ("T11", "L5", 160.0),
    "neck": ("C1", "T3", 170.0),
    "chest": ("C6", "L1", 200.0),
    "abdomen": ("T9", "L5", 200.0),
    "column": ("T6", "L4", 75.0),
}
"""First and last level that a case shows, and the width of its field of view in mm."""

_MOST_PAINTS = 8
"""Rarely, tissues are drawn so dense that the program doubts that it is CT; then anew."""

_HARD = ("", "L6", "", "T13", "", "metal", "", "no_T12", "", "5 mm", "", "fracture")
"""What makes every second case hard, in turn."""

_EXTREME = {
    "hyperlordosis": ("lumbar", "column", "abdomen"),
    "hyperkyphosis": ("chest", "trunk", "column"),
    "scoliosis": ("trunk", "column", "abdomen"),
    "tall C2": ("neck",),
    "stub 12th ribs": ("abdomen", "lumbar", "column"),
    "long 12th ribs": ("abdomen", "lumbar", "column"),
}
"""Fields of view in which an extreme shows, in turn."""

_THICK = ("neck", "trunk", "neck", "lumbar", "neck", "chest", "neck", "abdomen", "neck", "column")
"""Fields of view of thick slices, in turn: half are necks, whose bone is the thinnest."""

_SLICES_MM = {"3 mm": 3.0, "5 mm": 5.0}

_TWELFTH_RIB = {"stub 12th ribs": (26.0, 40.0), "long 12th ribs": None}
"""How far both twelfth ribs reach from the middle of their vertebra, in mm; None: all the way."""


@dataclass(frozen=True)
class CaseSet:
    """Numbered cases; case k is always the same one.

    Attributes:
        name: of the set, and the beginning of the names of its subjects.
        seed: makes the draws differ from those of other sets.
        marks: number -> field of view and what is hard about the case.
    """

    name: str
    seed: int
    marks: Callable[[int], tuple[str, ...]]

    def subject(self, number: int) -> str:
        """Name of a case without ``sub-``."""
        return f"{self.name}{number:03d}"


@dataclass(frozen=True)
class FactoryCase:
    """A synthetic scan.

    Attributes:
        name: subject.
        marks: its field of view and what is hard about it.
        hu: int16 (x, y, z).
        mask: uint8 (x, y, z), labels of the vertebrae whose body lies in the field of view.
        centroids: centres of the same vertebrae.
        grid: geometry.
    """

    name: str
    marks: tuple[str, ...]
    hu: np.ndarray
    mask: np.ndarray
    centroids: tuple[Centroid, ...]
    grid: Grid


def write_cases(data: Path, folder: Path, count: int, which: CaseSet) -> None:
    """Writes `count` cases to `folder`/rawdata and their truth to `folder`/derivatives (BIDS).

    Args:
        data: folder with ``atlas/`` and the centroid tables.
        folder: where to; cases that are there stay.
        count: number of cases.
        which: the set that they belong to.
    """
    marks = {f"sub-{which.subject(number)}": which.marks(number) for number in range(count)}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MARKS, marks)
    absent = [n for n, subject in enumerate(marks) if not scan_path(folder, subject).exists()]
    if not absent:
        return
    atlas = load_atlas(data / "atlas")
    courses, held_back = split_by_patient(read_courses(data))
    for number in absent:
        case = make_case(number, held_back, courses, atlas, which)
        subject = f"sub-{case.name}"
        write_case(folder, subject, case.hu, case.grid, case.centroids, case.mask)
        log.info("%s: %s", subject, ", ".join(case.marks))


def marks_of(number: int) -> tuple[str, ...]:
    """The field of view of case `number`, and what makes it hard, if anything."""
    field = tuple(FIELDS)[number % len(FIELDS)]
    hard = _HARD[(number + number // len(_HARD)) % len(_HARD)]
    return (field, hard) if hard else (field,)


def _extreme(number: int) -> tuple[str, ...]:
    turn, kind = divmod(number, len(_EXTREME))
    mark = tuple(_EXTREME)[kind]
    return _EXTREME[mark][turn % len(_EXTREME[mark])], mark


def _thick(number: int) -> tuple[str, ...]:
    turn, kind = divmod(number, len(_SLICES_MM))
    return _THICK[turn % len(_THICK)], tuple(_SLICES_MM)[kind]


FACTORY = CaseSet("factory", 70_001, marks_of)
"""Every second case bears a numbering variant, metal, thick slices or a fracture."""

EXTREME = CaseSet("extreme", 70_002, _extreme)
"""Every case has a posture, a C2 or twelfth ribs that few people have."""

THICK = CaseSet("thick", 70_003, _thick)
"""Every field of view in slices of 3 and of 5 mm."""


def make_case(
    number: int,
    held_back: list[Course],
    donors: list[Course],
    atlas: Atlas,
    which: CaseSet = FACTORY,
) -> FactoryCase:
    """Case `number`: its spine is a held-back course, completed by levels of other courses."""
    rng = np.random.default_rng((which.seed, number))
    marks = which.marks(number)
    course = complete(held_back[rng.integers(len(held_back))], donors, rng)
    if marks[-1] in EXTREMES:
        course = EXTREMES[marks[-1]](course, rng)
    numbering = marks[1].lower() if marks[-1] in ("L6", "T13", "no_T12", "no_L5") else "usual"
    anatomy = draw_anatomy(course, atlas, rng, numbering, mixed_shapes=True)
    spacing = 1.0
    origin, size = _box(anatomy, FIELDS[marks[0]], spacing, rng)
    body = pose(anatomy, atlas, origin, size, spacing)
    place = {label: (p - origin) / spacing for label, p in body.landmarks.items()}
    twelfth = _TWELFTH_RIB.get(marks[-1], ANY_LENGTH)
    labels = breathe(trim_ribs(body, rng, twelfth), spacing, rng)
    worn, place = degenerate(labels, place, spacing, rng, broken="fracture" in marks)
    centres = {label: origin + spacing * p for label, p in place.items()}
    body = replace(body, labels=worn, landmarks=centres)
    labels = implants.insert(worn, place, spacing, rng, instrumented="metal" in marks)
    thickness = _SLICES_MM.get(marks[-1]) or float(rng.uniform(1.0, 3.0))
    labels = vary_bone(labels, place, spacing, rng)
    for _ in range(_MOST_PAINTS):
        hu = _scan(labels, place, spacing, thickness, rng)
        if recognise(hu) == "hounsfield":
            break
    return _sliced(which.subject(number), marks, hu, body, thickness, rng)


def _box(
    anatomy: Anatomy, field: tuple[str, str, float], spacing: float, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Origin and size of the field of view: around some levels, cut anywhere between them."""
    first, last, width = field
    names = [name_of(int(label)) for label in anatomy.labels]
    last = last if last in names else names[-1]
    points = anatomy.centres_lps_mm[names.index(first) : names.index(last) + 1]
    low = points.min(0) - rng.uniform(12, 45, 3)
    high = points.max(0) + rng.uniform(12, 45, 3)
    middle = 0.5 * (points.min(0) + points.max(0)) + rng.uniform(-10, 10, 3)
    low[0], high[0] = middle[0] - width / 2, middle[0] + width / 2
    low[1] = min(low[1], high[1] - 0.75 * width)
    size = np.ceil((high - low) / spacing).astype(int)
    return low, (int(size[0]), int(size[1]), int(size[2]))


def _scan(
    labels: np.ndarray,
    landmarks: Mapping[int, np.ndarray],
    spacing: float,
    thickness: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """HU of `labels`, blurred along z over `thickness`."""
    config = replace(PRESETS["default"].vertebrae, smoothing_sigma_mm=0.0)
    size = labels.shape
    recipe = Recipe("vertebrae", config, size, spacing, size)
    draw: Appearance = {
        "labels": labels.astype(np.int16),
        "noise": NoiseBank(size, int(rng.integers(2**31))).draw(rng),
        **draw_paint(recipe, landmarks, rng),
        **draw_streaks(recipe, labels, rng),
        **draw_scanner(recipe, rng, real=False, thickness_mm=thickness),
    }
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, draw)
    hu = synthesis.acquire(synthesis.paint(tensors), tensors)
    return np.asarray(keras.ops.convert_to_numpy(hu), np.float32)


def _sliced(
    name: str,
    marks: tuple[str, ...],
    hu: np.ndarray,
    body: Body,
    thickness: float,
    rng: np.random.Generator,
) -> FactoryCase:
    """The case on the scanner's own grid: fine in the plane, `thickness` between the slices."""
    step = (float(rng.uniform(0.9, 1.2)), float(rng.uniform(0.9, 1.2)), thickness)
    size = tuple(
        int((n - 1) * body.spacing_mm / s) + 1 for n, s in zip(hu.shape, step, strict=True)
    )
    zoom = np.array(step) / body.spacing_mm
    values = ndimage.affine_transform(hu, zoom, output_shape=size, order=1, mode="nearest")
    extent = 0.5 * (np.array(size) - 1) * step
    grid = Grid.axis_aligned(body.origin_lps_mm + extent, size, step)
    half = _half_bodies_mm(body.landmarks)
    inside = {
        label: point
        for label, point in body.landmarks.items()
        if np.all(np.abs(point - body.origin_lps_mm - extent) < extent - (5.0, 5.0, half[label]))
    }
    mask = outlined(body.labels, inside, body.spacing_mm, zoom, size)
    centroids = tuple(Centroid.at(label, point) for label, point in inside.items())
    return FactoryCase(name, marks, np.rint(values).astype(np.int16), mask, centroids, grid)


def _half_bodies_mm(landmarks: dict[int, np.ndarray]) -> dict[int, float]:
    """Half the height of each body, from the distances to its neighbours."""
    labels = sorted(landmarks, key=lambda label: -landmarks[label][2])
    steps = np.linalg.norm(np.diff([landmarks[label] for label in labels], axis=0), axis=1)
    mean = 0.5 * (np.append(steps, steps[-1]) + np.insert(steps, 0, steps[0]))
    return dict(zip(labels, (HALF_BODY * mean).tolist(), strict=True))


def scan_path(folder: Path, subject: str) -> Path:
    """Where `write_case` puts the scan of `subject`."""
    return folder / "rawdata" / subject / f"{subject}_ct.nii.gz"


def write_case(
    folder: Path,
    subject: str,
    hu: np.ndarray,
    grid: Grid,
    centroids: Sequence[Centroid],
    mask: np.ndarray | None = None,
) -> None:
    """Writes HU and mask (i, j, k) to `folder`/rawdata and `folder`/derivatives (BIDS).

    The scan comes last, so that a scan that is there has its truth.
    """
    scan = scan_path(folder, subject)
    truth = folder / "derivatives" / subject
    truth.mkdir(parents=True, exist_ok=True)
    scan.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(hu, grid.affine_ras)
    image.set_sform(grid.affine_ras, code=1)
    image.set_qform(grid.affine_ras, code=1)
    partial = scan.with_name("." + scan.name)
    nib.save(image, partial)
    if mask is not None:
        write_mask(truth / f"{subject}_seg-vert_msk.nii.gz", mask, read_image(partial))
    write_centroids(truth / f"{subject}_seg-subreg_ctd.json", centroids, grid)
    partial.rename(scan)
