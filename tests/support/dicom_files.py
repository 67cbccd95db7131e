"""CT series and multi-frame images as a scanner stores them, element by element, with pydicom."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    generate_uid,
)

from tests.support.fake_segmenter import phantom_scan

JPEG_LS = pytest.param(
    JPEGLSLossless,
    marks=pytest.mark.skipif(find_spec("jpeg_ls") is None, reason="comes with highdicom"),
)
SIZE = (12, 13, 14)
SPACING = (4.0, 3.5, 3.0)
Change = Callable[[int, Dataset], Any]


def slices_of(
    hu: np.ndarray | None = None, change: Change | None = None, **elements: Any
) -> list[Dataset]:
    """The slices of a volume (i, j, k) of HU whose first voxel lies at (1, 2, 3), axes along LPS.

    Args:
        change: is called with the number of a slice and its elements, and may edit them.
        elements: of all slices, instead of the usual ones; None leaves one out.
    """
    hu = phantom_scan(SIZE) if hu is None else hu
    uids = {
        name: generate_uid()
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    }
    found = []
    for k in range(hu.shape[2]):
        one = _dataset({**_elements(k, hu.shape), **uids, **elements})
        one.PixelData = _stored(hu[:, :, k], one)
        one["PixelData"].VR = "OW"
        if change is not None:
            change(k, one)
        found.append(one)
    return found


def write_slices(
    folder: Path, slices: list[Dataset] | None = None, name: str = "IM{:03d}.dcm"
) -> list[Path]:
    """Write slices as files of a folder; gives the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, one in enumerate(slices_of() if slices is None else slices):
        paths.append(folder / name.format(k))
        write_dicom(paths[-1], one)
    return paths


def write_dicom(path: Path, one: Dataset) -> None:
    """Write one file in the transfer syntax that its meta information names."""
    one.file_meta.MediaStorageSOPClassUID = one.get("SOPClassUID", CTImageStorage)
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, one, enforce_file_format=True)


def multi_frame(hu: np.ndarray | None = None, **elements: Any) -> Dataset:
    """An enhanced CT image: all slices of a volume as frames, the last one first."""
    hu = phantom_scan(SIZE) if hu is None else hu
    usual = _elements(0, hu.shape)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "KVP"):
        usual.pop(name)
    for name in ("RescaleSlope", "RescaleIntercept", "SliceThickness", "ConvolutionKernel"):
        usual.pop(name)
    usual |= {"SOPClassUID": EnhancedCTImageStorage, "NumberOfFrames": hu.shape[2]}
    usual |= {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID")}
    usual["FrameOfReferenceUID"] = generate_uid()
    whole = _dataset({**usual, **elements})
    order = range(hu.shape[2])[::-1]
    shared = _dataset({})
    shared.PixelMeasuresSequence = _item(
        PixelSpacing=[SPACING[1], SPACING[0]], SliceThickness=SPACING[2]
    )
    shared.PlaneOrientationSequence = _item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.PixelValueTransformationSequence = _item(
        RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU"
    )
    shared.CTXRayDetailsSequence = _item(KVP=100)
    whole.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for k in order:
        frame = _dataset({})
        frame.PlanePositionSequence = _item(ImagePositionPatient=[1, 2, 3 + SPACING[2] * k])
        frame.FrameContentSequence = _item(StackID="1", InStackPositionNumber=k + 1)
        frames.append(frame)
    whole.PerFrameFunctionalGroupsSequence = Sequence(frames)
    whole.PixelData = b"".join(_stored(hu[:, :, k], whole) for k in order)
    whole["PixelData"].VR = "OW"
    return whole


def _item(**elements: Any) -> Sequence:
    return Sequence([_dataset(elements)])


def _dataset(elements: dict[str, Any]) -> Dataset:
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for name, value in elements.items():
        if value is not None:
            setattr(found, name, value)
    return found


def _stored(plane: np.ndarray, one: Dataset) -> bytes:
    """Stored values of a plane (i, j) of HU: rows one after another, 1024 higher."""
    values = np.asarray(plane).T.astype(np.int64) + 1024
    return values.clip(0, None).astype("<u2").tobytes()


def _elements(k: int, shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": generate_uid(),
        "StudyDate": "20200131",
        "StudyTime": "101500",
        "AccessionNumber": "A1",
        "Modality": "CT",
        "Manufacturer": "ACME",
        "ManufacturerModelName": "Scanner 1",
        "SeriesDescription": "Thorax 1.0",
        "ReferringPhysicianName": "Doe^Jane",
        "PatientName": "Phantom^Paul",
        "PatientID": "P0",
        "PatientBirthDate": "19500101",
        "PatientSex": "M",
        "PatientAge": "070Y",
        "StudyID": "1",
        "SeriesNumber": 3,
        "InstanceNumber": k + 1,
        "KVP": "120",
        "XRayTubeCurrent": 200 + k % 2,
        "ConvolutionKernel": "B40f",
        "SliceThickness": SPACING[2],
        "ImagePositionPatient": [1, 2, 3 + SPACING[2] * k],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": shape[1],
        "Columns": shape[0],
        "PixelSpacing": [SPACING[1], SPACING[0]],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
    }
