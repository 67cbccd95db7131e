"""NIfTI files as tests need them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

AFFINE = np.array([[-0.8, 0, 0, 30], [0, -0.9, 0, 40], [0, 0, 2.5, -600], [0, 0, 0, 1.0]])


def ct(shape=(12, 10, 8), seed=0) -> np.ndarray:
    """Values like those of CT: air, fat, soft tissue, bone."""
    rng = np.random.default_rng(seed)
    tissue = rng.choice([-1000, -100, 40, 60, 400], size=shape)
    return (tissue + rng.integers(-20, 20, shape)).astype(np.int16)


def saved(path: Path, array=None, affine=AFFINE, **fields) -> Path:
    """A file with that array, and header fields overwritten afterwards."""
    image = nib.Nifti1Image(ct() if array is None else array, affine)
    nib.save(image, path)
    if fields:
        content = bytearray(path.read_bytes())
        header = nib.Nifti1Header(bytes(content[:348]), check=False)
        for name, value in fields.items():
            header[name] = value
        content[:348] = header.binaryblock
        path.write_bytes(content)
    return path
