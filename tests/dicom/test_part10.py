from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import UID

from ichnode.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ichnode.dicom.part10 import part10_prefix
from tests.dicom.made_ct import UNCOMPRESSED, ct_dataset, encode, head_hu


@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=lambda uid: uid.name)
def test_before_the_data_set_it_makes_a_file(syntax):
    ds = ct_dataset()
    read = dcmread(BytesIO(part10_prefix(ds.SOPClassUID, ds.SOPInstanceUID, syntax, "CT1") + encode(ds, syntax)))
    assert read.PatientName == ds.PatientName
    assert (read.pixel_array == head_hu() + 1024).all()
    meta = read.file_meta
    assert meta.FileMetaInformationVersion == b"\x00\x01"
    assert meta.MediaStorageSOPClassUID == ds.SOPClassUID
    assert meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert meta.TransferSyntaxUID == syntax
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.SourceApplicationEntityTitle == "CT1"


@pytest.mark.interop
def test_dcmtk_reads_it(tmp_path, dcmtk):
    ds = ct_dataset()
    path = tmp_path / "a.dcm"
    path.write_bytes(part10_prefix(ds.SOPClassUID, "1.2.3", "1.2.840.10008.1.2.1", "ODD") + encode(ds))
    said = dcmtk("dcmftest", path).stdout
    assert said.startswith("yes")
    assert "1.2.840.10008.1.2.1" in dcmtk("dcmdump", "-Un", "+P", "0002,0010", path).stdout


@given(
    st.from_regex(r"[12](\.(0|[1-9][0-9]{0,14})){1,3}", fullmatch=True),
    st.text("ABC 1", max_size=16).map(str.strip),
)
def test_the_group_length_is_right_for_any_uid_and_title(uid, title):
    prefix = part10_prefix("1.2.840.10008.5.1.4.1.1.2", uid, "1.2.840.10008.1.2", title)
    assert len(prefix) % 2 == 0
    meta = dcmread(BytesIO(prefix)).file_meta
    assert meta.MediaStorageSOPInstanceUID == uid
    assert meta.FileMetaInformationGroupLength == len(prefix) - 144
    assert meta.get("SourceApplicationEntityTitle", "") == title
