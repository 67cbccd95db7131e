"""The labelled whole-body atlas that the CT factory poses.

Label ids beyond the vertebrae (1-24) are those of the atlas file; the phantom shares them
(`vertseg.phantom.Tissue`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from vertseg.errors import ConfigurationError

PACKED = "atlas.npz"
"""The labels as a plain array, which needs no reader of medical images."""

_LABELS, _CENTRES = "atlas_labels.nii.gz", "body_centres_from_discs.json"

LEVEL_NAMES = (
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
)


@dataclass(frozen=True)
class Atlas:
    """Labels on an axis-aligned LPS grid.

    Attributes:
        labels: uint8 (x, y, z).
        spacing_mm: isotropic voxel size.
        origin_lps_mm: position of voxel (0, 0, 0), shape (3,).
        centres_lps_mm: centre of each vertebral body C1 ... L5, shape (24, 3).
    """

    labels: np.ndarray
    spacing_mm: float
    origin_lps_mm: np.ndarray
    centres_lps_mm: np.ndarray

    @cached_property
    def boxes(self) -> list[tuple[slice, slice, slice] | None]:
        """The box of voxels of each vertebra C1 ... L5; None for one that is not there."""
        return ndimage.find_objects(self.labels, len(self.centres_lps_mm))

    @cached_property
    def tips_lps_mm(self) -> np.ndarray:
        """Tip of each spinous process, shape (24, 3): the hindmost twentieth of the vertebra.

        Of a vertebra that is not there it is the centre.
        """
        tips = self.centres_lps_mm.copy()
        for level, box in enumerate(self.boxes):
            if box is not None:
                voxels = np.argwhere(self.labels[box] == level + 1)
                hindmost = voxels[voxels[:, 1] >= np.quantile(voxels[:, 1], 0.95)].mean(0)
                first = np.array([part.start for part in box])
                tips[level] = self.origin_lps_mm + self.spacing_mm * (hindmost + first)
        return tips


@lru_cache(maxsize=1)
def load_atlas(folder: Path) -> Atlas:
    """Read ``atlas.npz``, or ``atlas_labels.nii.gz`` and ``body_centres_from_discs.json``.

    The latter are in RAS.

    Raises:
        ConfigurationError: the folder has neither.
    """
    if (folder / PACKED).is_file():
        with np.load(folder / PACKED) as data:
            return Atlas(data["labels"], float(data["spacing_mm"]), data["origin"], data["centres"])
    missing = [name for name in (_LABELS, _CENTRES) if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"lacks {' and '.join(missing)}",
            str(folder),
            f"an atlas: {_LABELS} and {_CENTRES}, or {PACKED} in --pool",
            "Give a folder with an atlas, or pack one: python -m vertseg.training prepare --atlas.",
        )
    import nibabel as nib  # late: the packed atlas needs numpy only

    image = nib.load(folder / _LABELS)
    labels = np.asarray(image.dataobj, dtype=np.uint8)[::-1, ::-1]
    affine = image.affine
    last_ras_mm = affine[:3, 3] + affine[:3, :3] @ (np.array(labels.shape) - 1)
    origin = np.array([-last_ras_mm[0], -last_ras_mm[1], affine[2, 3]])
    centres = json.loads((folder / _CENTRES).read_text())
    return Atlas(np.ascontiguousarray(labels), float(affine[0, 0]), origin, _body_centres(centres))


def pack_atlas(folder: Path, to: Path) -> Path:
    """Write the atlas of `folder` to ``atlas.npz`` in the folder `to`, and return that file.

    Raises:
        OutputError: it cannot be written.
    """
    from vertseg.system.atomic import atomic_writer  # late: reading needs numpy only

    atlas = load_atlas(folder)
    with atomic_writer(to / PACKED) as stream:
        np.savez_compressed(
            stream,
            labels=atlas.labels,
            spacing_mm=atlas.spacing_mm,
            origin=atlas.origin_lps_mm,
            centres=atlas.centres_lps_mm,
        )
    return to / PACKED


def _body_centres(ras_mm: dict[str, list[float]]) -> np.ndarray:
    """C3 ... L5 as given; C2 and C1 from the mean offsets of the VerSe centroids."""
    centres = {name: np.array(p) * (-1, -1, 1) for name, p in ras_mm.items()}
    centres["C2"] = centres["C3"] + (0.0, 0.5, 18.0)
    centres["C1"] = centres["C2"] + (0.0, -1.5, 17.0)
    return np.stack([centres[name] for name in LEVEL_NAMES])
