"""Small scans written with SimpleITK: files of one volume, and DICOM series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tests.support.fake_segmenter import phantom_scan

COSINE, SINE = np.cos(0.3), np.sin(0.3)
OBLIQUE = np.array([[COSINE, -SINE, 0], [SINE, COSINE, 0], [0, 0, 1.0]])
"""Axes turned about the long axis of the body; columns are those along i, j, k in LPS."""
SAGITTAL = np.array([[0, 0, -1.0], [1, 0, 0], [0, -1, 0]])
"""Axes towards P, I, R."""


def itk_image(
    values: np.ndarray | None = None,
    directions=OBLIQUE,
    spacing=(4.0, 3.5, 3.0),
    origin=(1 / 7, 2, 3),
) -> sitk.Image:
    """An ITK image of an array (i, j, k)."""
    values = phantom_scan((12, 13, 14)) if values is None else values
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetDirection([float(value) for value in np.ravel(directions)])
    image.SetSpacing([float(value) for value in spacing])
    image.SetOrigin([float(value) for value in origin])
    return image


def write_itk(path: Path, image: sitk.Image | None = None, packed: bool = True) -> sitk.Image:
    """Write a volume; gives it back."""
    image = itk_image() if image is None else image
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), packed)
    return image


def write_series(
    folder: Path,
    image: sitk.Image | None = None,
    uid: str = "1.2.3.4567",
    number: int = 3,
    description: str = "Thorax 1.0 B70f",
    prefix: str = "IM",
    positions=None,
    slopes=None,
    suffix: str = ".dcm",
    **tags: str,
) -> sitk.Image:
    """Write a volume of HU as DICOM slices, named against their order; gives the volume back.

    Args:
        positions: (n, 3) of the slices in LPS mm; those of the volume if None.
        slopes: rescale slope of each slice; 1 if None.
        tags: ``g0008_0060="MR"`` sets that element, an empty text leaves it out.
    """
    image = itk_image() if image is None else image
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    count = image.GetDepth()
    axes = np.reshape(image.GetDirection(), (3, 3))
    places = [image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(count)]
    places = places if positions is None else positions
    for k in range(count):
        plane = image[:, :, k]
        elements = {
            "0008|0060": "CT",
            "0008|103e": description,
            "0020|000d": "1.2.3",
            "0020|000e": uid,
            "0020|0011": str(number),
            "0020|0013": str(k),
            "0020|0032": _text(places[k]),
            "0020|0037": _text([*axes[:, 0], *axes[:, 1]]),
            "0028|1052": "-1024",
            "0028|1053": f"{1 if slopes is None else slopes[k]:g}",
        }
        elements |= {name[1:].replace("_", "|"): value for name, value in tags.items()}
        for element, value in elements.items():
            if value:
                plane.SetMetaData(element, value)
        writer.SetFileName(str(folder / f"{prefix}{count - k:03d}{suffix}"))
        writer.Execute(plane)
    return image


def _text(values) -> str:
    return "\\".join(f"{value:.10g}" for value in values)
