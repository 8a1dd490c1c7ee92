from __future__ import annotations

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from ichnode.dicom import syntaxes
from ichnode.dicom.equivalence import same_content
from ichnode.dicom.part10 import part10_prefix
from tests.dicom.made_ct import UNCOMPRESSED, ct_dataset, encode, head_hu, save


def rich(**attributes) -> Dataset:
    """With a sequence and private elements, one of which nobody's dictionary knows."""
    ds = ct_dataset(**attributes)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = syntaxes.CT_IMAGE, "1.2.3"
    ds.ReferencedImageSequence = Sequence([item])
    block = ds.private_block(0x0019, "SOMEBODY 1.0", create=True)
    block.add_new(0x01, "DS", "12.5")
    block.add_new(0x02, "LO", "odd")
    block.add_new(0x03, "US", 513)
    return ds


@pytest.fixture
def first(tmp_path):
    path = tmp_path / "first.dcm"
    save(rich(), path)
    return path


@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=lambda uid: uid.name)
def test_the_same_in_another_uncompressed_syntax(first, tmp_path, syntax):
    second = tmp_path / "second.dcm"
    save(rich(), second, syntax)
    assert same_content(first, second)
    assert same_content(second, first)


@pytest.mark.parametrize("syntax", [syntaxes.JPEG_LS, syntaxes.JPEG_2000_LOSSLESS, syntaxes.RLE], ids=str)
def test_the_same_in_a_lossless_syntax(first, tmp_path, syntax):
    second = tmp_path / "second.dcm"
    ds = pydicom.dcmread(first)
    ds.compress(syntax, generate_instance_uid=False)
    ds.save_as(second)
    assert same_content(first, second)


@pytest.mark.interop
@pytest.mark.parametrize(
    ("program", "option"),
    [("dcmcjpeg", ["+e1"]), ("dcmcjpeg", ["+el"]), ("dcmcjpls", ["+el"]), ("dcmcrle", []), ("dcmconv", ["+tb"]),
     ("dcmconv", ["+td"]), ("dcmconv", ["+ti"])],
)  # fmt: skip
def test_the_same_after_dcmtk(first, tmp_path, dcmtk, program, option):
    second = tmp_path / "second.dcm"
    dcmtk(program, *option, first, second)
    assert pydicom.dcmread(second).file_meta.TransferSyntaxUID != pydicom.dcmread(first).file_meta.TransferSyntaxUID
    assert same_content(first, second)


@pytest.mark.interop
def test_lossy_is_another_image(first, tmp_path, dcmtk):
    second = tmp_path / "second.dcm"
    dcmtk("dcmcjpls", "+en", "+md", "2", first, second)
    assert not same_content(first, second)


def test_never_compressed_lossily_may_be_said_or_not(first, tmp_path):
    paths = {value: tmp_path / value for value in ("00", "01")}
    for value, path in paths.items():
        save(rich(LossyImageCompression=value), path)
    assert same_content(first, paths["00"])
    assert not same_content(first, paths["01"])


def test_the_sender_is_not_content(tmp_path):
    paths = tmp_path / "a", tmp_path / "b"
    for path, sender in zip(paths, ("CT1", "PACS"), strict=True):
        path.write_bytes(part10_prefix(syntaxes.CT_IMAGE, "1.2.3", UNCOMPRESSED[1], sender) + encode(ct_dataset()))
    assert same_content(*paths)


@pytest.mark.parametrize(
    "change",
    [
        {"PatientName": "Other^Name"}, {"ImagePositionPatient": [0, 0, 1]}, {"RescaleIntercept": "0"},
        {"InstanceNumber": None}, {"WindowCenter": "40"}, {"ReferencedImageSequence": None},
    ],
    ids=str,
)  # fmt: skip
def test_another_attribute_is_another_image(first, tmp_path, change):
    second = tmp_path / "second.dcm"
    ds = rich()
    for keyword, value in change.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    save(ds, second)
    assert not same_content(first, second)
    assert not same_content(second, first)


def test_another_private_element_or_item_is_another_image(first, tmp_path):
    private, item = tmp_path / "private.dcm", tmp_path / "item.dcm"
    ds = rich()
    ds.private_block(0x0019, "SOMEBODY 1.0").add_new(0x02, "LO", "even")
    save(ds, private, UNCOMPRESSED[0])
    ds = rich()
    ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.4"
    save(ds, item)
    assert not same_content(first, private)
    assert not same_content(first, item)


def test_one_pixel_makes_another_image(first, tmp_path):
    second = tmp_path / "second.dcm"
    hu = head_hu()
    hu[0, 0] += 1
    save(rich(hu=hu), second)
    assert not same_content(first, second)


@pytest.mark.parametrize("damage", ["not dicom", "cut short", "pixels of garbage"])
def test_what_cannot_be_decoded_is_never_the_same(first, tmp_path, damage):
    second = tmp_path / "second.dcm"
    if damage == "not dicom":
        second.write_bytes(b"something")
    elif damage == "cut short":
        second.write_bytes(first.read_bytes()[:-100])
    else:
        ds = pydicom.dcmread(first)
        ds.compress(syntaxes.RLE, generate_instance_uid=False)
        ds.file_meta.TransferSyntaxUID = UID(syntaxes.JPEG_2000_LOSSLESS)
        ds.save_as(second)
    assert not same_content(first, second)
    assert not same_content(second, first)
