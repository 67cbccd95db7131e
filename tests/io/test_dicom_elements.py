"""DICOM as hospitals have it, written with pydicom: what is read, and what it says of itself."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from tests.support.dicom_files import (
    JPEG_LS,
    SIZE,
    SPACING,
    multi_frame,
    slices_of,
    write_dicom,
    write_slices,
)
from tests.support.fake_segmenter import phantom_scan
from vertseg.batch.find import find_cases
from vertseg.errors import InputError
from vertseg.io.dicom_read import read_dicom
from vertseg.io.read import read_image

HU = phantom_scan(SIZE).clip(-1024, None)


def read(tmp_path, slices, **names):
    write_slices(tmp_path / "s", slices, **names)
    return read_image(tmp_path / "s")


def set_to(**values):
    return lambda k, one: [setattr(one, name, value) for name, value in values.items()]


def test_values_place_and_facts(tmp_path) -> None:
    image = read(tmp_path, slices_of())
    np.testing.assert_array_equal(image.array, HU)
    assert image.array.dtype == np.int16 and image.warnings == ()
    np.testing.assert_allclose(image.grid.origin, (1, 2, 3))
    np.testing.assert_allclose(image.grid.spacing, SPACING)
    facts = image.facts
    assert (facts.kvp, facts.kernel, facts.scanner) == (120, "B40f", "ACME Scanner 1")
    assert (facts.age_years, facts.sex, facts.tube_current_ma) == (70, "M", 200.5)
    assert facts.contrast is None


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("packed", [None, RLELossless, JPEG_LS])
def test_an_inverted_display_changes_no_value(tmp_path, bits, packed) -> None:
    """MONOCHROME1 says how to show values, not what they mean (PS3.3 C.7.6.3.1.2)."""
    elements = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": bits, "HighBit": bits - 1}
    slices = slices_of(**elements)
    if packed:
        for one in slices:
            one.PhotometricInterpretation = "MONOCHROME2"
            one.compress(packed)
            one.PhotometricInterpretation = "MONOCHROME1"
    np.testing.assert_array_equal(read(tmp_path, slices).array, HU)


@pytest.mark.parametrize("value", ["0", "-2", "7"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_distance_of_slices_comes_from_their_places(tmp_path, value, packed) -> None:
    slices = slices_of(SpacingBetweenSlices=value)
    for one in slices if packed else ():
        one.compress(RLELossless)
    image = read(tmp_path, slices)
    np.testing.assert_array_equal(image.array, HU)
    np.testing.assert_allclose(image.grid.spacing, SPACING)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_other_orders_of_bytes(tmp_path, syntax) -> None:
    def store(k, one):
        one.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()

    np.testing.assert_array_equal(read(tmp_path, slices_of(change=store)).array, HU)


def test_bits_that_are_not_used_do_not_count(tmp_path) -> None:
    """Signed values of 12 bits, whose upper 4 bits hold an overlay as in old archives."""

    def store(k, one):
        values = HU[:, :, k].T.astype(np.int64) & 0xFFF
        one.PixelData = (values | (k << 12)).astype("<u2").tobytes()

    elements = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1, "RescaleIntercept": 0}
    np.testing.assert_array_equal(read(tmp_path, slices_of(change=store, **elements)).array, HU)


def test_slopes_that_are_no_whole_numbers_and_values_beyond_16_bit(tmp_path) -> None:
    image = read(tmp_path / "a", slices_of(RescaleSlope="0.5"))
    assert image.array.dtype == np.float32
    np.testing.assert_allclose(image.array, (HU + 1024.0) * 0.5 - 1024)
    huge = slices_of(change=lambda k, one: set_to(RescaleSlope=100)(k, one) if k == 3 else None)
    image = read(tmp_path / "b", huge)
    assert "limited to it" in image.warnings[0] and image.array.max() == 32767
    np.testing.assert_array_equal(image.array[:, :, 2], HU[:, :, 2])


@pytest.mark.parametrize("step", [0.625, 0.75, 0.67, 0.45])
def test_places_rounded_to_a_tenth_of_a_millimetre(tmp_path, step) -> None:
    def place(k, one):
        one.ImagePositionPatient = [1, 2, f"{-123.37 + step * k:.1f}"]

    image = read(tmp_path, slices_of(phantom_scan((12, 13, 40)), place))
    assert abs(image.grid.spacing[2] - step) < 0.005
    assert "treated as even" in image.warnings[0]


def test_positions_off_the_row_by_more_than_a_tenth_are_refused(tmp_path) -> None:
    def place(by):
        return lambda k, one: set_to(ImagePositionPatient=[1, 2, 3 * k + by * (k == 7)])(k, one)

    assert "off an even row" in read(tmp_path / "a", slices_of(change=place(0.25))).warnings[0]
    with pytest.raises(InputError, match="apart, others 3.00 mm"):
        read(tmp_path / "b", slices_of(change=place(0.4)))


UNUSABLE = {
    "spacing": (set_to(PixelSpacing=None), "without PixelSpacing", "Export"),
    "no size": (set_to(PixelSpacing=[0, 0]), "without PixelSpacing", "Export"),
    "place": (set_to(ImagePositionPatient=None), "without ImagePositionPatient", "Export"),
    "bad number": (
        lambda k, one: one.add_new("ImagePositionPatient", "DS", "") if k == 4 else None,
        "without ImagePositionPatient",
        "Export",
    ),
    "two patients": (
        lambda k, one: setattr(one, "PatientID", f"P{k // 7}"),
        "several patients: their identities",
        "of each patient",
    ),
    "two names": (
        lambda k, one: setattr(one, "PatientName", ("Ann", "Beth")[k // 7]),
        "several patients: their names",
        "of each patient",
    ),
    "twice": (
        lambda k, one: (
            set_to(ImagePositionPatient=[1, 2, 3], SOPInstanceUID="1.2.7")(k, one)
            if k < 2
            else None
        ),
        "one slice twice: IM000.dcm and IM001.dcm",
        "Remove one of the two",
    ),
    "two phases": (
        lambda k, one: set_to(ImagePositionPatient=[1, 2, 3 * (k // 2)])(k, one),
        "two slices at one place: IM000.dcm and IM001.dcm, and 6 more pairs",
        "Keep one time",
    ),
    "missing": (
        lambda k, one: set_to(ImagePositionPatient=[1, 2, 3 * (k + 2 * (k > 8))])(k, one),
        "2 slices are missing",
        "Copy or export",
    ),
    "two distances": (
        lambda k, one: set_to(ImagePositionPatient=[1, 2, k if k < 8 else 7 + 5 * (k - 7)])(k, one),
        "1 mm apart up to IM007.dcm, then 5 mm",
        "dcm2niix",
    ),
    "own identities": (
        lambda k, one: setattr(one, "SeriesInstanceUID", generate_uid()),
        "each of its 14 slices has a SeriesInstanceUID of its own",
        "dcmodify",
    ),
    "HTJ2K": (
        lambda k, one: setattr(one.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2.4.201"),
        "High-Throughput JPEG 2000",
        "pylibjpeg-openjpeg",
    ),
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_what_cannot_be_mended_is_said_with_a_remedy(tmp_path, reason) -> None:
    change, text, remedy = UNUSABLE[reason]
    slices = slices_of(change=change)
    if reason == "HTJ2K":
        for one in slices:
            one.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0abcd"
            one["PixelData"].is_undefined_length = True
            one["PixelData"].VR = "OB"
    with pytest.raises(InputError, match=text) as caught:
        read(tmp_path, slices)
    assert remedy in caught.value.remedy


def test_files_without_preamble_or_with_odd_names(tmp_path) -> None:
    for suffix in ("", ".CT", ".img", ".v2"):
        write_slices(tmp_path / f"odd{suffix}", slices_of(), name="I{:02d}" + suffix)
    for kind, name in ((ImplicitVRLittleEndian, "implicit"), (ExplicitVRBigEndian, "explicit")):
        for k, one in enumerate(slices_of()):
            del one.file_meta
            whole = io.BytesIO()
            implicit = kind == ImplicitVRLittleEndian
            dcmwrite(whole, one, implicit_vr=implicit, little_endian=True)
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"I{k:02d}").write_bytes(whole.getvalue())
    (tmp_path / "odd" / "notes").write_text("no image\n" * 40)
    cases = find_cases(tmp_path).cases
    assert [case.name for case in cases] == [
        *("explicit", "implicit", "odd", "odd.CT", "odd.img", "odd.v2")
    ]
    for case in cases:
        np.testing.assert_array_equal(read_dicom(case.path).array, HU)


def test_a_volume_in_the_class_of_screenshots_is_a_scan_and_a_screenshot_is_none(tmp_path) -> None:
    volume = slices_of(SOPClassUID=SecondaryCaptureImageStorage)
    np.testing.assert_array_equal(read(tmp_path, volume).array, HU)
    shot = slices_of(SOPClassUID=SecondaryCaptureImageStorage, ImagePositionPatient=None)
    for one in shot:
        del one.ImageOrientationPatient
    write_slices(tmp_path / "shots", shot)
    found = find_cases(tmp_path)
    assert [case.name for case in found.cases] == ["s"]
    assert "screenshot" in found.skipped[0].reason


@pytest.mark.parametrize(
    ("charset", "stored", "text"),
    [
        ("ISO_IR 100", "Wirbels\xe4ule".encode("latin-1"), "Wirbelsäule"),
        ("GB18030", "脊柱 CT".encode("gb18030"), "脊柱-CT"),
        (["", "ISO 2022 IR 87"], b"\x1b$B@TDG\x1b(B", "脊椎"),
        ("ISO_IR 192", "позвоночник".encode(), "позвоночник"),
    ],
)
def test_descriptions_are_decoded(tmp_path, charset, stored, text) -> None:
    def describe(k, one):
        one.SpecificCharacterSet = charset
        one.SeriesDescription = "X" * len(stored)

    for k, path in enumerate(write_slices(tmp_path / "s", slices_of(change=describe))):
        whole = path.read_bytes().replace(b"X" * len(stored), stored)
        path.write_bytes(whole)
        assert k or stored in whole
    (case,) = find_cases(tmp_path / "s").cases
    assert case.name == f"3_{text}"


def test_an_enhanced_image_of_many_frames(tmp_path) -> None:
    write_dicom(tmp_path / "in" / "deep" / "CT" / "all.dcm", multi_frame())
    (case,) = find_cases(tmp_path / "in").cases
    assert case.name == "deep/CT"
    image = read_image(case.path)
    np.testing.assert_array_equal(image.array, HU)
    np.testing.assert_allclose(image.grid.origin, (1, 2, 3))
    np.testing.assert_allclose(image.grid.spacing, SPACING)
    assert image.facts.kvp == 100
    (single,) = find_cases(case.path / "all.dcm").cases
    assert single.mask.name == "all_seg.nii.gz" and single.where == case.path / "all.dcm"


@pytest.mark.parametrize("packed", [RLELossless, JPEG_LS])
def test_frames_that_are_compressed(tmp_path, packed) -> None:
    whole = multi_frame()
    whole.compress(packed)
    write_dicom(tmp_path / "s" / "all", whole)
    np.testing.assert_array_equal(read_image(tmp_path / "s").array, HU)


def test_a_file_of_frames_that_is_cut_is_refused(tmp_path) -> None:
    write_dicom(tmp_path / "s" / "all.dcm", multi_frame())
    content = (tmp_path / "s" / "all.dcm").read_bytes()
    (tmp_path / "s" / "all.dcm").write_bytes(content[:-500])
    with pytest.raises(InputError, match=r"all\.dcm is cut short"):
        read_image(tmp_path / "s")


def test_a_file_of_frames_and_an_archive_are_read_by_themselves(tmp_path) -> None:
    write_dicom(tmp_path / "all.dcm", multi_frame())
    np.testing.assert_array_equal(read_image(tmp_path / "all.dcm").array, HU)
    with zipfile.ZipFile(tmp_path / "scan.zip", "w", compression=8) as archive:
        for path in write_slices(tmp_path / "s"):
            archive.write(path, path.name)
    np.testing.assert_array_equal(read_image(tmp_path / "scan.zip").array, HU)
    (tmp_path / "scan.zip").write_bytes((tmp_path / "scan.zip").read_bytes()[:3000])
    with pytest.raises(InputError, match="cannot be unpacked, it is damaged"):
        read_image(tmp_path / "scan.zip")
