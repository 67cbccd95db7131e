"""A stand-in for the segmenter: balls around given points, at once and without networks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import nibabel as nib
import numpy as np

from vertseg.io.image import Image
from vertseg.stages import FIND, SPINE_ONLY
from vertseg.stages.device import DeviceInfo
from vertseg.stages.result import Result, Vertebra

Points = dict[int, tuple[float, float, float]]

MANIFEST = {
    "format": 1,
    "preset": {"name": "fake"},
    "files": {
        "spine": {"file": "spine.weights.h5", "sha256": "1" * 64},
        "vertebrae": {"file": "vertebrae.weights.h5", "sha256": "2" * 64},
    },
}


@dataclass
class FakeSegmenter:
    """Finds `points`, label -> LPS mm, in every image; calls `before` first, to make trouble."""

    points: Points = field(default_factory=dict)
    manifest: dict = field(default_factory=lambda: MANIFEST)
    before: object = None
    radius_mm: float = 8.0
    device: DeviceInfo = DeviceInfo("cpu", "fake processor", "float32")
    calls: int = 0
    given: Points | None = None

    def locate(self, image, on_progress=None) -> None:
        """Finds nothing that a call could use."""

    def __call__(self, image, on_progress=None, found=None) -> Result:
        self.calls += 1
        if callable(self.before):
            self.before(image)
        for done in range(1, 4):
            if on_progress is not None:
                on_progress("segmentation", done, 3)
        return fake_result(image, self.points, self.radius_mm)

    def find(self, image, on_progress=None) -> Result:
        result = self(image, on_progress)
        rows = tuple(replace(vertebra, voxels=0) for vertebra in result.vertebrae)
        labels = np.zeros_like(result.labels)
        return replace(result, labels=labels, vertebrae=rows, stages=FIND)

    def find_spine(self, image, on_progress=None) -> Result:
        result = self.find(image, on_progress)
        course = tuple(self.points.values())
        return replace(result, vertebrae=(), stages=SPINE_ONLY, spine_lps_mm=course)

    def segment(self, image, centroids, on_progress=None) -> Result:
        self.given = {centroid.label: centroid.point_lps_mm for centroid in centroids}
        return fake_result(image, self.given, self.radius_mm)


def fake_result(image: Image, points: Points, radius_mm: float = 8.0, **changes) -> Result:
    """Balls around points, label -> LPS mm, listed from the head downwards."""
    labels = np.zeros(image.grid.size, np.uint8)
    world = None
    if points:  # not for nothing: it takes far more memory than the scan
        world = image.grid.index_to_lps(np.moveaxis(np.indices(image.grid.size), 0, -1))
    vertebrae = []
    for label, point in sorted(points.items(), key=lambda item: -item[1][2]):
        ball = np.linalg.norm(world - np.array(point), axis=-1) <= radius_mm
        labels[ball] = label
        vertebrae.append(Vertebra(label, point, 0.9, voxels=int(ball.sum())))
    values = {
        "image": image,
        "labels": labels,
        "vertebrae": tuple(vertebrae),
        "status": "ok" if points else "no_spine",
        "warnings": () if points else ("no spine was found",),
        "seconds": {"spine": 0.1, "vertebrae": 0.2, "segmentation": 0.3},
        "margin": 9.0,
        "rival": "one level higher",
        "level_shift_possible": False,
    }
    return Result(**{**values, **changes})


def phantom_scan(size=(24, 26, 40)) -> np.ndarray:
    """HU of a body in air with a column of bone, too plain for any network."""
    rng = np.random.default_rng(0)
    x, y, _ = np.indices(size)
    hu = np.full(size, -1000.0)
    body = np.hypot(x - size[0] / 2, y - size[1] / 2) < 0.45 * size[0]
    hu[body] = -80
    hu[np.hypot(x - size[0] / 2, y - size[1] / 2) < 0.3 * size[0]] = 50
    hu[np.hypot(x - size[0] / 2, y - size[1] / 2) < 0.15 * size[0]] = 300
    return (hu + rng.normal(0, 10, size)).astype(np.int16)


def write_scan(path, size=(24, 26, 40), spacing_mm=4.0, hu=None) -> None:
    """A small scan whose index (0, 0, 0) lies at the world's origin, axes towards L, P, S."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0])
    nib.save(nib.Nifti1Image(phantom_scan(size) if hu is None else hu, affine), path)


POINTS: Points = {20: (48.0, 52.0, 120.0), 21: (48.0, 50.0, 88.0), 22: (48.0, 52.0, 56.0)}
"""Centres of L1, L2 and L3 in the phantom scan."""
