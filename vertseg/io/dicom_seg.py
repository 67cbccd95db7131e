"""The mask of a DICOM series as DICOM Segmentation (PS3.3 A.51), for viewers and archives.

One binary segment per vertebra, with its name, colour and SNOMED CT code, on the frames of the
series; frames without a vertebra are left out. Written by highdicom (Bridge et al., J Digit Imaging
2022;35:1719), which is imported only here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.errors import ConfigurationError, InputError
from vertseg.io.dicom_file import DicomFile
from vertseg.io.dicom_frames import frames_of
from vertseg.io.dicom_values import ascii_of, text_of
from vertseg.labels import colour_of, name_of
from vertseg.system.atomic import atomic_writer
from vertseg.version import VERSION

if TYPE_CHECKING:
    from pydicom import Dataset

_OPTION = "--dicom-seg"
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_UTF_8 = "ISO_IR 192"
_TEXTS = ("PatientID", "AccessionNumber", "StudyID")
_PERSONS = ("PatientName", "ReferringPhysicianName")
_PATTERNS = {
    "PatientSex": re.compile("[MFO]"),
    "PatientBirthDate": re.compile(r"\d{8}"),
    "StudyDate": re.compile(r"\d{8}"),
    "StudyTime": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
}
_SERIES_NUMBER = 9000  # beyond those of scanners


def check_highdicom(option: str = _OPTION) -> None:
    """Raise ConfigurationError where the package that writes DICOM objects is absent."""
    if find_spec("highdicom") is None:
        remedy = "Install vertseg[dicom-seg], or leave the option out."
        raise ConfigurationError("needs the package highdicom", option, remedy=remedy)


def write_dicom_seg(
    path: str | os.PathLike[str], labels: npt.NDArray[np.uint8], slices: Sequence[Path | DicomFile]
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
    found = [label for label, box in enumerate(ndimage.find_objects(labels), start=1) if box]
    if not found:
        raise ValueError("the label map has no vertebra")
    numbers = np.zeros(256, np.uint8)  # segments are numbered from 1 on, without gaps
    numbers[found] = np.arange(1, len(found) + 1)
    with unjudged():
        source, order = source_of(slices, labels.shape[2])
        frames = np.empty((labels.shape[2], labels.shape[1], labels.shape[0]), np.uint8)
        frames[order] = numbers[labels].transpose(2, 1, 0)
        segmentation = build_segmentation(source, frames, found)
        with atomic_writer(path) as stream:
            segmentation.save_as(stream)


def unjudged() -> AbstractContextManager[None]:
    """A context that takes values of the series as they are, such as a number that is too long."""
    from pydicom.config import disable_value_validation

    return cast(AbstractContextManager[None], disable_value_validation())


def source_of(
    slices: Sequence[Path | DicomFile], planes: int
) -> tuple[list[Dataset], npt.NDArray[np.intp]]:
    """Headers of the series, and (planes,) along the normal the number of each one's frame.

    Slices of a file each come in the order of the planes; frames of one file as they are stored.
    """
    from pydicom import dcmread

    files = [one if isinstance(one, DicomFile) else DicomFile(str(one)) for one in slices]
    datasets = []
    for file in files:
        with file.open() as stream:
            datasets.append(dcmread(stream, stop_before_pixels=True, force=True))
    _check_identities(datasets[0], str(files[0].folder))
    for dataset in datasets:
        fill_in(dataset)
    order = np.arange(planes)
    if len(datasets) == 1:
        heights = [_height(f.position, f.orientation) for f in frames_of(datasets[0])]
        order = np.argsort(heights)
    else:
        datasets.sort(key=_height_of)
    if planes != (len(order) if len(datasets) == 1 else len(datasets)):
        raise ValueError(f"{planes} planes of labels for {len(datasets)} files")
    return datasets, order


def _check_identities(dataset: Dataset, where: str) -> None:
    missing = [name for name in _NEEDED if not dataset.get(name)]
    if missing:
        what = f"lacks {', '.join(missing)}, which a DICOM Segmentation must name"
        raise InputError(what, where, remedy=f"Leave out {_OPTION}, or export the series whole.")


def fill_in(dataset: Dataset) -> None:
    """Give a data set each element on patient and study that every image must have.

    Those that are absent, as in scans without names, or have a value that the standard does not
    know become empty. Text is decoded, so that it can be written in UTF-8.
    """
    from pydicom.valuerep import PersonName

    for name in _TEXTS:
        setattr(dataset, name, text_of(dataset, name))
    for name in _PERSONS:
        setattr(dataset, name, PersonName(text_of(dataset, name)))
    for name, pattern in _PATTERNS.items():
        text = ascii_of(dataset, name)
        fits = pattern.fullmatch(text) and (not name.endswith("Date") or _is_date(text))
        setattr(dataset, name, text if fits else "")
    dataset.SpecificCharacterSet = _UTF_8


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def _height_of(dataset: Dataset) -> float:
    return _height(dataset.ImagePositionPatient, dataset.ImageOrientationPatient)


def _height(position: Any, orientation: Any) -> float:
    """Place of a slice along its normal, mm."""
    rows, columns = np.reshape(orientation, (2, 3)).astype(float)
    return float(np.asarray(position, float) @ np.cross(rows, columns))


def build_segmentation(
    source: list[Dataset], frames: npt.NDArray[np.uint8], labels: Sequence[int]
) -> Any:
    """The DICOM Segmentation in memory.

    Args:
        source: headers of the slices along the normal.
        frames: uint8 (slices, rows, columns), numbers of segments.
        labels: VerSe id of each segment, from number 1 on.
    """
    import highdicom as hd

    return hd.seg.Segmentation(
        source_images=source,
        pixel_array=frames,
        pixel_measures=_measures(source),
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
        specific_character_set=_UTF_8,
    )


def _measures(source: list[Dataset]) -> Any:
    """Size of the voxels; None where the frames of one file say it themselves."""
    import highdicom as hd

    if len(source) == 1:
        return None
    step_mm = (_height_of(source[-1]) - _height_of(source[0])) / (len(source) - 1)
    for dataset in source:
        dataset.SliceThickness = dataset.get("SliceThickness") or step_mm  # may be absent in CT
    return hd.PixelMeasuresSequence(source[0].PixelSpacing, step_mm, step_mm)


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
