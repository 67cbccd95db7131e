"""How a scan was made, from DICOM elements and from a JSON file beside a NIfTI file."""

from __future__ import annotations

import csv
import json

import pytest

from tests.support.dicom_files import slices_of, write_slices
from tests.support.fake_segmenter import FakeSegmenter, write_scan
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.io.read import read_image
from vertseg.io.scan_facts import FACTS, ScanFacts, facts_from

CONTRAST = [
    ({"ContrastBolusAgent": "Iohexol 300"}, True, None),
    ({"ContrastBolusAgent": "ULTRAVIST", "SeriesDescription": "Abd portal-venous 1.5"}, True,
     "portal venous"),
    ({"ContrastBolusAgent": "APPLIED", "SeriesDescription": "PV Phase"}, True, "portal venous"),
    ({"SeriesDescription": "Thorax arteriell 1.0"}, True, "arterial"),
    ({"SeriesDescription": "CTA_Aorta"}, True, "arterial"),
    ({"SeriesDescription": "Abdomen venous"}, True, "venous"),
    ({"ProtocolName": "Nieren spät"}, True, "delayed"),
    ({"SeriesDescription": "Thorax +C"}, True, None),
    ({"SeriesDescription": "Abd mit KM"}, True, None),
    ({"SeriesDescription": "LWS nativ"}, False, "native"),
    ({"SeriesDescription": "Non-Contrast spine"}, False, "native"),
    ({"SeriesDescription": "Spine w/o"}, False, "native"),
    ({"ContrastBolusAgent": "NONE"}, False, "native"),
    ({"ContrastBolusAgent": "without contrast"}, False, "native"),
    ({"ContrastBolusAgent": ""}, None, None),
    ({"SeriesDescription": "Heart 0.6"}, None, None),
    ({"SeriesDescription": "Abdomen late afternoon native"}, False, "native"),
    ({}, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("values", "contrast", "phase"), CONTRAST)
def test_contrast_and_phase(values, contrast, phase) -> None:
    facts = facts_from(values)
    assert (facts.contrast, facts.phase) == (contrast, phase)
    assert (facts.contrast_agent is not None) == (
        contrast is True and "ContrastBolusAgent" in values
    )


@pytest.mark.parametrize(
    ("stored", "years"),
    [
        ("060Y", 60),
        ("018M", 1.5),
        ("003W", 0.1),
        ("095Y", 90),
        (71, 71),
        ("", None),
        ("19500101", None),
    ],
)
def test_ages(stored, years) -> None:
    assert facts_from({"PatientAge": stored}).age_years == years


def test_nonsense_does_no_harm() -> None:
    nonsense = {
        "KVP": "abc",
        "SliceThickness": [],
        "XRayTubeCurrent": -3,
        "PatientSex": "?",
        "PatientAge": {},
        "ConvolutionKernel": "x\x1b[31m" * 99,
        "Manufacturer": None,
    }
    facts = facts_from(nonsense)
    assert facts.kvp is facts.sex is facts.age_years is facts.scanner is None
    assert facts.kernel is not None and facts.kernel.isprintable() and len(facts.kernel) <= 64


def test_what_names_the_patient_is_left_out() -> None:
    values = {"ContrastBolusAgent": "80 ml for Mr Phantom", "ConvolutionKernel": "P0815-kernel",
              "ManufacturerModelName": "Scanner"}  # fmt: skip
    facts = facts_from(values, ["Phantom^Paul", "P0815"])
    assert facts == ScanFacts(scanner="Scanner")


def test_a_run_says_how_the_scan_was_made_and_not_of_whom(tmp_path) -> None:
    elements = {"KVP": "100", "ContrastBolusAgent": "Iohexol", "PatientID": "ID-4711",
                "SeriesDescription": "Spine arterial"}  # fmt: skip
    write_slices(tmp_path / "in" / "s", slices_of(**elements))
    options = Options(input=tmp_path / "in", output=tmp_path / "out")
    segmenter = FakeSegmenter({20: (25.0, 25.0, 20.0)})
    (report,) = run_batch(options, lambda _: segmenter).written
    known = {"kvp": 100, "contrast": True, "phase": "arterial", "kernel": "B40f", "sex": "M",
             "contrast_agent": "Iohexol", "scanner": "ACME Scanner 1", "age_years": 70,
             "slice_thickness_mm": 3, "tube_current_ma": 200.5}  # fmt: skip
    assert report["acquisition"] == known
    text = (tmp_path / "out" / "summary.csv").read_text()
    (row,) = csv.DictReader(text.splitlines())
    assert {name: row[name] for name in FACTS} == {k: str(v) for k, v in known.items()} | {
        "kvp": "100.0",
        "age_years": "70.0",
        "slice_thickness_mm": "3.0",
    }
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        assert b"4711" not in content and b"Phantom" not in content, path.name


def test_a_json_file_beside_a_nifti_file(tmp_path) -> None:
    write_scan(tmp_path / "sub-1_ct.nii.gz")
    assert read_image(tmp_path / "sub-1_ct.nii.gz").facts == ScanFacts()
    beside = tmp_path / "sub-1_ct.json"
    values = {"KVP": 140, "ConvolutionKernel": "STANDARD", "ManufacturersModelName": "X"}
    beside.write_text(json.dumps({**values, "PatientName": "Ann^Other", "ProtocolName": "ann"}))
    facts = read_image(tmp_path / "sub-1_ct.nii.gz").facts
    assert facts == ScanFacts(kvp=140, kernel="STANDARD", scanner="X")
    for content in ("[", "[1]", "{" * 9999, '{"KVP": {"a": 1}}'):
        beside.write_text(content)
        assert read_image(tmp_path / "sub-1_ct.nii.gz").facts == ScanFacts()


WORDS = {
    "at 100 kVp, with contrast medium in the arterial phase": ScanFacts(
        kvp=100, contrast=True, phase="arterial"
    ),
    "at 120 kVp, without contrast medium": ScanFacts(kvp=120, contrast=False, phase="native"),
    "at 140 kVp, contrast medium unknown": ScanFacts(kvp=140),
    "at unknown tube voltage, contrast medium unknown": ScanFacts(),
}


@pytest.mark.parametrize("words", WORDS)
def test_low_density_says_how_it_was_measured(words) -> None:
    from vertseg.measure.flags import bone_flags
    from vertseg.measure.vertebra import Measurement

    low = Measurement(20, 40.0, 60.0, 9.0, "", None, None, 0.0, True)
    (flag,) = bone_flags([low], WORDS[words])
    assert f"(60 HU {words}, not calibrated)" in flag.sentence
