"""The outlines of vertebrae as DICOM RT Structure Set (PS3.3 A.19), for planning systems.

One region of interest per vertebra, with its name and colour, outlined on each slice of the series
that it reaches. Holes, such as the canal, are joined to the outline around them by a slit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vertseg.geometry.boxes import label_boxes
from vertseg.geometry.grid import FloatArray, Grid, LabelArray
from vertseg.io.contours import contours_of
from vertseg.io.dicom_file import DicomFile
from vertseg.io.dicom_seg import source_of, unjudged
from vertseg.labels import colour_of, name_of
from vertseg.system.atomic import atomic_writer
from vertseg.version import NOTICE, VERSION

if TYPE_CHECKING:
    from pydicom import Dataset

_RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired, and what the reference still has to name
_UTF_8 = "ISO_IR 192"
_SERIES_NUMBER = 9001
_DECIMALS = 3
_COPIED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    "ReferringPhysicianName",
)

Plane = tuple[int, list[FloatArray]]
"""Number of a slice, and polygons (n, 3) in LPS mm on it."""


def write_rtstruct(
    path: str | os.PathLike[str],
    labels: LabelArray,
    grid: Grid,
    slices: Sequence[Path | DicomFile],
) -> None:
    """Write the outlines of a label map as RT Structure Set.

    Args:
        path: where to.
        labels: (i, j, k) uint8, VerSe ids: column, row and slice along the normal of the series.
        grid: where its voxels lie.
        slices: files of the series in any order.

    Raises:
        InputError: the series lacks what a structure set must refer to.
        OutputError: the file cannot be written.
        ValueError: the label map has no vertebra, or another number of slices than the series.
    """
    if not labels.any():
        raise ValueError("the label map has no vertebra")
    with unjudged():
        source, order = source_of(slices, labels.shape[2])
        dataset = _structure_set(source)
        images = [_image_of(source, int(number)) for number in order]
        for number, (label, planes) in enumerate(_outlines(labels, grid), start=1):
            _add_region(dataset, number, label, planes, images)
        with atomic_writer(path) as stream:
            dataset.save_as(stream, enforce_file_format=True)


def _outlines(labels: LabelArray, grid: Grid) -> Iterator[tuple[int, list[Plane]]]:
    """Label, and its polygons on each slice that it reaches."""
    for label, box in label_boxes(labels).items():
        mask = labels[box] == label
        first = [part.start for part in box]
        planes = []
        for k in range(mask.shape[2]):
            polygons = contours_of(mask[:, :, k])
            if polygons:
                height = first[2] + k
                planes.append((height, [_placed(p, first, height, grid) for p in polygons]))
        yield label, planes


def _placed(polygon: FloatArray, first: Sequence[int], k: int, grid: Grid) -> FloatArray:
    return grid.index_to_lps(np.column_stack([polygon + first[:2], np.full(len(polygon), k)]))


def _structure_set(source: list[Dataset]) -> Any:
    from pydicom import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    now, first = datetime.now(), source[0]
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = _RT_STRUCTURE_SET
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = _RT_STRUCTURE_SET
    dataset.SpecificCharacterSet = _UTF_8
    for name in _COPIED:
        setattr(dataset, name, first.get(name, ""))
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = generate_uid(), _SERIES_NUMBER
    dataset.SeriesDescription = "Vertebrae (vertseg, research only)"
    dataset.OperatorsName = ""
    dataset.Manufacturer = dataset.ManufacturerModelName = "vertseg"
    dataset.SoftwareVersions = VERSION
    dataset.StructureSetLabel = "VERTEBRAE"
    dataset.StructureSetDescription = NOTICE[:1024]
    dataset.StructureSetDate = dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    dataset.StructureSetTime = dataset.InstanceCreationTime = now.strftime("%H%M%S")
    dataset.FrameOfReferenceUID = first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = ""
    dataset.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source)]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    dataset.ApprovalStatus = "UNAPPROVED"
    return dataset


def _frame_of_reference(source: list[Dataset]) -> Any:
    first = source[0]
    images = [_reference(one.SOPClassUID, one.SOPInstanceUID) for one in source]
    series = _item(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=images)
    study = _reference(_STUDY_CLASS, first.StudyInstanceUID)
    study.RTReferencedSeriesSequence = [series]
    return _item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _add_region(
    dataset: Any, number: int, label: int, planes: Sequence[Plane], images: Sequence[Any]
) -> None:
    """Enter a vertebra into the three lists of a structure set."""
    region = _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=dataset.FrameOfReferenceUID,
        ROIName=name_of(label),
        ROIGenerationAlgorithm="AUTOMATIC",
    )
    contours = [_contour(polygon, images[k]) for k, polygons in planes for polygon in polygons]
    outline = _item(
        ROIDisplayColor=list(colour_of(label)),
        ReferencedROINumber=number,
        ContourSequence=contours,
    )
    observation = _item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        ROIObservationLabel=name_of(label),
        RTROIInterpretedType="ORGAN",
        ROIInterpreter="",
    )
    dataset.StructureSetROISequence.append(region)
    dataset.ROIContourSequence.append(outline)
    dataset.RTROIObservationsSequence.append(observation)


def _contour(polygon: FloatArray, image: Any) -> Any:
    values = np.round(polygon, _DECIMALS).ravel() + 0.0
    return _item(
        ContourImageSequence=[image],
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(polygon),
        ContourData=[f"{value:.{_DECIMALS}f}" for value in values],
    )


def _image_of(source: list[Dataset], number: int) -> Any:
    """Reference to the slice of a plane: a file of many, or a frame of the only one."""
    if len(source) > 1:
        return _reference(source[number].SOPClassUID, source[number].SOPInstanceUID)
    item = _reference(source[0].SOPClassUID, source[0].SOPInstanceUID)
    item.ReferencedFrameNumber = number + 1
    return item


def _reference(sop_class: str, instance: str) -> Any:
    return _item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=instance)


def _item(**elements: Any) -> Any:
    from pydicom import Dataset

    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item
