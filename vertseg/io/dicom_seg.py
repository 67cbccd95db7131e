"""The mask of a DICOM series as DICOM Segmentation (PS3.3 A.51), for viewers and archives.

One binary segment a vertebra, with its name, colour and SNOMED CT code, on the frames of the
series; frames without a vertebra are left out. Written by highdicom (Bridge et al., J Digit Imaging
2022;35:1719), which is imported only here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.errors import ConfigurationError, InputError
from vertseg.labels import colour_of, name_of
from vertseg.system.atomic import atomic_writer
from vertseg.version import VERSION

if TYPE_CHECKING:
    from pydicom import Dataset

_OPTION = "--dicom-seg"
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_SERIES_NUMBER = 9000  # beyond those of scanners


def check_highdicom() -> None:
    """Raise ConfigurationError where the package that writes DICOM Segmentations is absent."""
    if find_spec("highdicom") is None:
        remedy = "Install vertseg[dicom-seg], or leave the option out."
        raise ConfigurationError("needs the package highdicom", _OPTION, remedy=remedy)


def write_dicom_seg(
    path: str | os.PathLike[str], labels: npt.NDArray[np.uint8], slices: Sequence[Path]
) -> None:
    """Write a label map as DICOM Segmentation.

    Args:
        path: where to.
        labels: (i, j, k) uint8, VerSe ids: column, row and slice along the normal of the series.
        slices: files of the series in any order.

    Raises:
        InputError: the series lacks what a segmentation must refer to.
        OutputError: the file cannot be written.
        ValueError: the label map has no vertebra, or another number of slices than the series.
    """
    if len(slices) != labels.shape[2]:
        raise ValueError(f"{labels.shape[2]} planes of labels for {len(slices)} slices")
    found = [label for label, box in enumerate(ndimage.find_objects(labels), start=1) if box]
    if not found:
        raise ValueError("the label map has no vertebra")
    numbers = np.zeros(256, np.uint8)  # segments are numbered from 1 on, without gaps
    numbers[found] = np.arange(1, len(found) + 1)
    frames = np.ascontiguousarray(numbers[labels].transpose(2, 1, 0))
    segmentation = _segmentation(_sorted(slices), frames, found)
    with atomic_writer(path) as stream:
        segmentation.save_as(stream)


def _sorted(slices: Sequence[Path]) -> list[Dataset]:
    """Headers of the slices along the normal, as the voxels of the scan are."""
    from pydicom import dcmread

    datasets = [dcmread(path, stop_before_pixels=True) for path in slices]
    where = str(Path(slices[0]).parent)
    missing = [name for name in _NEEDED if not datasets[0].get(name)]
    if missing:
        what = f"lacks {', '.join(missing)}, which a DICOM Segmentation must name"
        raise InputError(what, where, remedy=f"Leave out {_OPTION}, or export the series whole.")
    return sorted(datasets, key=_height)


def _height(dataset: Dataset) -> float:
    """Place of a slice along its normal, mm."""
    rows, columns = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)
    return float(np.asarray(dataset.ImagePositionPatient, float) @ np.cross(rows, columns))


def _segmentation(
    source: list[Dataset], frames: npt.NDArray[np.uint8], labels: Sequence[int]
) -> Any:
    import highdicom as hd

    step_mm = (_height(source[-1]) - _height(source[0])) / (len(source) - 1)
    for dataset in source:
        dataset.SliceThickness = dataset.get("SliceThickness") or step_mm  # may be absent in CT
    measures = hd.PixelMeasuresSequence(source[0].PixelSpacing, step_mm, step_mm)
    return hd.seg.Segmentation(
        source_images=source,
        pixel_array=frames,
        pixel_measures=measures,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(n, label) for n, label in enumerate(labels, start=1)],
        series_instance_uid=hd.UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="vertseg",
        manufacturer_model_name="vertseg",
        software_versions=VERSION,
        device_serial_number="0",
        series_description="Vertebrae (vertseg, research only)",
        content_label="VERTEBRAE",
        content_description="Not a medical device",
    )


def _describe(number: int, label: int) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    name = name_of(label)
    known = getattr(codes.SCT, f"{name}Vertebra", None) if name not in ("L6", "T13") else None
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=known or codes.SCT.Vertebra,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="vertseg", version=VERSION, family=codes.DCM.ArtificialIntelligence
        ),
        display_color=hd.color.CIELabColor.from_rgb(*colour_of(label)),
    )
