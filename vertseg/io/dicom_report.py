"""Measurements of a DICOM series as Structured Report (TID 1500), and its preview as picture.

Both by highdicom (Bridge et al., J Digit Imaging 2022;35:1719), which is imported only here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vertseg.io.dicom_file import DicomFile
from vertseg.io.dicom_seg import source_of, unjudged
from vertseg.system.atomic import atomic_writer
from vertseg.version import VERSION

if TYPE_CHECKING:
    pass

_SCHEME = "99VERTSEG"
_SERIES_NUMBERS = {"report": 9002, "preview": 9003}
_LONGEST_MEANING = 64

# Column -> (unit, meaning); of standard codes where DICOM has one for this very quantity.
_MILLIMETRES = {
    "anterior_height_mm": "Anterior height of vertebral body",
    "middle_height_mm": "Middle height of vertebral body",
    "posterior_height_mm": "Posterior height of vertebral body",
    "body_width_mm": "Width of vertebral body",
    "body_depth_mm": "Depth of vertebral body",
}
_DEGREES = {
    "upper_plate_sagittal_deg": "Sagittal tilt of upper end plate",
    "upper_plate_coronal_deg": "Coronal tilt of upper end plate",
    "lower_plate_sagittal_deg": "Sagittal tilt of lower end plate",
    "lower_plate_coronal_deg": "Coronal tilt of lower end plate",
}


def write_measurements(
    path: str | os.PathLike[str],
    rows: Sequence[Mapping[str, Any]],
    angles: Sequence[Mapping[str, Any]],
    flags: Sequence[Mapping[str, Any]],
    slices: Sequence[Path | DicomFile],
    planes: int,
) -> None:
    """Write measurements and flags as Comprehensive 3D SR.

    Args:
        path: where to.
        rows: of the vertebrae, as in a report.
        angles: with ``name``, ``upper``, ``lower`` and ``degrees``.
        flags: with ``code``, ``severity``, ``vertebrae`` and ``sentence``.
        slices: files of the series in any order.
        planes: slices of the volume.

    Raises:
        InputError: the series lacks what a report must refer to.
        OutputError: the file cannot be written.
    """
    import highdicom as hd

    with unjudged():
        source = source_of(slices, planes)[0]
        groups = [*_vertebrae(rows, flags), *_spine(angles, flags)]
        report = hd.sr.Comprehensive3DSR(
            evidence=source,
            content=_content(groups),
            series_instance_uid=hd.UID(),
            series_number=_SERIES_NUMBERS["report"],
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="vertseg",
            is_complete=True,
        )
        report.SeriesDescription = "Vertebrae, measurements (vertseg, research only)"
        with atomic_writer(path) as stream:
            report.save_as(stream)


def write_picture(
    path: str | os.PathLike[str],
    pixels: npt.NDArray[np.uint8],
    slices: Sequence[Path | DicomFile],
    planes: int,
) -> None:
    """Write a picture as Secondary Capture of the study.

    Args:
        path: where to.
        pixels: (rows, columns, 3) uint8.
        slices: files of the series in any order.
        planes: slices of the volume.

    Raises:
        InputError: the series lacks what a picture must refer to.
        OutputError: the file cannot be written.
    """
    import highdicom as hd

    with unjudged():
        source = source_of(slices, planes)[0]
        picture = hd.sc.SCImage.from_ref_dataset(
            ref_dataset=source[0],
            pixel_array=np.ascontiguousarray(pixels),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("P", "F"),  # of the first view, from the side
            series_instance_uid=hd.UID(),
            series_number=_SERIES_NUMBERS["preview"],
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="vertseg",
        )
        picture.SeriesDescription = "Vertebrae, preview (vertseg, research only)"
        picture.BodyPartExamined = "SPINE"
        picture.BurnedInAnnotation = "YES"
        with atomic_writer(path) as stream:
            picture.save_as(stream)


def _content(groups: Sequence[Any]) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=hd.UID(), name="vertseg", manufacturer_name="vertseg", model_name=VERSION
        ),
    )
    return hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.SCT.ComputedTomography,
        imaging_measurements=groups or None,
        title=codes.DCM.ImagingMeasurementReport,
    )


def _vertebrae(
    rows: Sequence[Mapping[str, Any]], flags: Sequence[Mapping[str, Any]]
) -> Iterator[Any]:
    """One group of measurements per vertebra."""
    for row in rows:
        name = row["name"]
        measures = list(_measurements(row))
        said = [_flag(flag) for flag in flags if name in flag["vertebrae"]]
        if row.get("genant_grade_hint") is not None:
            said.append(_grade(row["genant_grade_hint"]))
        if measures or said:
            yield _group(name, _site(name), measures, said)


def _spine(
    angles: Sequence[Mapping[str, Any]], flags: Sequence[Mapping[str, Any]]
) -> Iterator[Any]:
    """The group of measurements and flags of the spine as a whole."""
    from pydicom.sr.codedict import codes

    measures = [
        _measured(
            angle["name"].replace(" ", "_"),
            f"{angle['name']} {angle['upper']}-{angle['lower']}".capitalize(),
            angle["degrees"],
            codes.UCUM.Degree,
        )
        for angle in angles
    ]
    said = [_flag(flag) for flag in flags if not flag["vertebrae"]]
    if measures or said:
        yield _group("spine", codes.SCT.Spine, measures, said)


def _group(name: str, site: Any, measures: list[Any], said: list[Any]) -> Any:
    import highdicom as hd

    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier=name),
        finding_sites=[hd.sr.FindingSite(anatomic_location=site)],
        measurements=measures or None,
        qualitative_evaluations=said or None,
    )


def _site(name: str) -> Any:
    from pydicom.sr.codedict import codes

    known = getattr(codes.SCT, f"{name}Vertebra", None) if name not in ("L6", "T13") else None
    return known or _code(name, f"{name} vertebra")


def _measurements(row: Mapping[str, Any]) -> Iterator[Any]:
    from pydicom.sr.codedict import codes

    millilitre = _code("mL", "milliliter", "UCUM")
    for column, meaning in _MILLIMETRES.items():
        yield from _if_known(row, column, meaning, codes.UCUM.Millimeter)
    for column, meaning in _DEGREES.items():
        yield from _if_known(row, column, meaning, codes.UCUM.Degree)
    if row.get("volume_ml") is not None:
        yield _measurement(codes.SCT.Volume, row["volume_ml"], millilitre)
    if row.get("trabecular_hu") is not None:
        unit, mean = codes.UCUM.HounsfieldUnit, codes.SCT.Mean
        name = codes.DCM.AttenuationCoefficient
        yield _measurement(name, row["trabecular_hu"], unit, derivation=mean)


def _if_known(row: Mapping[str, Any], column: str, meaning: str, unit: Any) -> Iterator[Any]:
    if row.get(column) is not None:
        yield _measured(column, meaning, row[column], unit)


def _measured(value: str, meaning: str, number: float, unit: Any) -> Any:
    return _measurement(_code(value, meaning), number, unit)


def _measurement(name: Any, number: float, unit: Any, derivation: Any = None) -> Any:
    import highdicom as hd

    return hd.sr.Measurement(name=name, value=float(number), unit=unit, derivation=derivation)


def _grade(grade: int) -> Any:
    import highdicom as hd

    name = _code("genant_grade_hint", "Height loss as in Genant's grades, a hint")
    return hd.sr.QualitativeEvaluation(name=name, value=_code(f"grade_{grade}", f"Grade {grade}"))


def _flag(flag: Mapping[str, Any]) -> Any:
    import highdicom as hd

    kind = "To check" if flag["severity"] == "check" else "Note"
    value = _code(flag["code"], flag["code"].replace("_", " "))
    return hd.sr.QualitativeEvaluation(name=_code(flag["severity"], kind), value=value)


def _code(value: str, meaning: str, scheme: str = _SCHEME) -> Any:
    import highdicom as hd

    return hd.sr.CodedConcept(value, scheme, meaning[:_LONGEST_MEANING])


def picture_of(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """The pixels (rows, columns, 3) of a PNG file."""
    from PIL import Image as Pillow

    with Pillow.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
