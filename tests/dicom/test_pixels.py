from __future__ import annotations

import base64
import importlib.util
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ichnode.dicom.pixels import read_hounsfield
from ichnode.errors import BadObject
from tests.core.made import codes
from tests.dicom.made_ct import UNCOMPRESSED, ct_dataset, encode, enhanced_ct, head_hu, save

HU = head_hu()
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"


def signed(**attributes):
    """The same head as signed 16-bit values without offset."""
    ds = ct_dataset(
        BitsStored=16, HighBit=15, PixelRepresentation=1, RescaleIntercept="0", PixelPaddingValue=-2000, **attributes
    )
    ds.PixelData = HU.astype("<i2").tobytes()
    return ds


@pytest.mark.parametrize("make", [ct_dataset, signed])
@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=lambda uid: uid.name)
def test_uncompressed(tmp_path, make, syntax):
    volume, warned = read_hounsfield(save(make(), tmp_path / "x", syntax))
    assert volume.shape == (1, 64, 64) and volume.dtype == np.int16
    assert np.array_equal(volume[0], HU) and warned == ()


@pytest.mark.parametrize("make", [ct_dataset, signed])
@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_compressed_by_pydicom(tmp_path, make, syntax):
    ds = make()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UNCOMPRESSED[1]
    ds.compress(syntax, generate_instance_uid=False)
    ds.save_as(tmp_path / "x", enforce_file_format=True)
    volume, warned = read_hounsfield(tmp_path / "x")
    assert np.array_equal(volume[0], HU) and warned == ()


@pytest.mark.interop
@pytest.mark.parametrize("make", [ct_dataset, signed])
@pytest.mark.parametrize(
    ("program", "options", "syntax"),
    [
        ("dcmcjpeg", ["+e1"], JPEG_LOSSLESS_SV1),
        ("dcmcjpeg", ["+el"], "1.2.840.10008.1.2.4.57"),
        ("dcmcjpls", ["+el"], JPEGLSLossless),
        ("dcmcrle", [], RLELossless),
        ("dcmconv", ["+td"], UNCOMPRESSED[3]),
        ("dcmconv", ["+tb"], UNCOMPRESSED[2]),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("1.") else None,
)
def test_compressed_by_dcmtk(tmp_path, dcmtk, make, program, options, syntax):
    plain = save(make(), tmp_path / "plain")
    dcmtk(program, *options, plain, tmp_path / "x")
    assert pydicom.filereader.read_file_meta_info(tmp_path / "x").TransferSyntaxUID == syntax
    volume, warned = read_hounsfield(tmp_path / "x")
    assert np.array_equal(volume[0], HU) and warned == ()


HTJ2K_STORED = (256 * np.arange(16)[:, None] + 16 * np.arange(16)) ^ (np.arange(16)[:, None] * np.arange(16))
HTJ2K_CODESTREAM = base64.b64decode(
    "/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABCwEB/1AACAACAAAAB/9SAAwAAgABAAIEBEAB/1wACiBweHh4cHB4"
    "/2QAFgABT3BlbkpQSCBWZXIgMC45LjAu/5AACgAAAAABIQAB/5PAAW+A/1//O397vtMd5jAfACOewAxXEIUX3fwBQMchANC4AMAAtOAAWvAA"
    "LTBhFOLJrg8LdxGc4OIApHRy25cAwQMcRkAAIwoQ4wMs6IDFAAQAIvJAeAAjuAcoCo00nD17g7MAZVjSa5cAwAF20ABdtAALs945nMN9N8z9"
    "r6vt8Hccp6H8h9PxP30OLq/v/Fgd/q7L6d7qfb8s6xyBoQ4FSjwlwmOyQ9teAJrr3M1Pwzz3OPd47o07x3p7vvX9E/CCgQcKLDwfJU2sbbSA"
    "cgIIBgAl+GVGx6XDq7x0ie90Af7999/zPN+//1/n9/s/33/vvf95/Hze/3/n+fz6/Xh+v96AylX8yGXJD8JfzkdJj3NRAf/Z"
)
"""`HTJ2K_STORED` as 12-bit PGM through OpenJPH 0.9: ojph_compress -reversible true -num_decomps 2. pydicom and its
plug-ins decode HTJ2K and do not encode it."""


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K], ids=lambda uid: uid.name)
def test_htj2k(tmp_path, syntax):
    volume, warned = read_hounsfield(
        save(encapsulated(HTJ2K_STORED - 1024, [HTJ2K_CODESTREAM]), tmp_path / "x", syntax)
    )
    assert np.array_equal(volume[0], np.clip(HTJ2K_STORED - 1024, -1024, 3071)) and warned == ()


def encapsulated(hu, fragments):
    ds = ct_dataset(hu, PixelPaddingValue=None)
    ds.PixelData = encapsulate(fragments)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


@pytest.mark.interop
def test_near_lossless_is_near(tmp_path, dcmtk):
    plain = save(ct_dataset(PixelPaddingValue=None), tmp_path / "plain")
    dcmtk("dcmcjpls", "+en", "+md", 2, plain, tmp_path / "x")
    assert pydicom.filereader.read_file_meta_info(tmp_path / "x").TransferSyntaxUID == JPEGLSNearLossless
    volume, _ = read_hounsfield(tmp_path / "x")
    assert np.abs(volume[0].astype(int) - HU).max() <= 2


class TestFrames:
    def test_each_by_its_own_rescale_in_the_order_asked_for(self, tmp_path):
        path = save(enhanced_ct(5, PixelPaddingValue=4095), tmp_path / "x")
        volume, _ = read_hounsfield(path, (4, 1, 4))
        assert np.array_equal(volume, [HU, HU, HU]), "stored values rise a frame as the intercept falls"

    def test_compressed_frames(self, tmp_path):
        ds = enhanced_ct(4, PixelPaddingValue=4095)
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = UNCOMPRESSED[1]
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.save_as(tmp_path / "x", enforce_file_format=True)
        assert np.array_equal(read_hounsfield(tmp_path / "x", (2, 3))[0], [HU, HU])

    @pytest.mark.parametrize("frames", [(0,), (3,), (), (1, 3)])
    def test_a_frame_that_is_not_there(self, tmp_path, frames):
        assert unreadable(save(enhanced_ct(2), tmp_path / "x"), frames) == "PIXELS_UNREADABLE"


def unreadable(path, frames=(1,)) -> str:
    with pytest.raises(BadObject) as caught:
        read_hounsfield(path, frames)
    return caught.value.code


class TestUnreadable:
    def test_no_pixels(self, tmp_path):
        assert unreadable(save(ct_dataset(PixelData=None), tmp_path / "x")) == "PIXELS_UNREADABLE"

    @pytest.mark.parametrize("keyword", ["Rows", "BitsAllocated", "PixelRepresentation", "PhotometricInterpretation"])
    def test_a_header_that_does_not_say_what_they_are(self, tmp_path, keyword):
        assert (
            unreadable(save(ct_dataset(**{"PixelPaddingValue": None, keyword: None}), tmp_path / "x"))
            == "PIXELS_UNREADABLE"
        )

    def test_fewer_pixels_than_rows_and_columns(self, tmp_path):
        ds = ct_dataset()
        ds.PixelData = ds.PixelData[:-200]
        assert unreadable(save(ds, tmp_path / "x")) == "PIXELS_UNREADABLE"

    def test_colour(self, tmp_path):
        ds = ct_dataset(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
        ds.PixelData = ds.PixelData * 3
        assert unreadable(save(ds, tmp_path / "x")) == "PIXELS_UNREADABLE"

    @pytest.mark.parametrize(
        "syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless, JPEG_LOSSLESS_SV1, HTJ2KLossless]
    )
    def test_rubbish_in_a_fragment(self, tmp_path, syntax):
        assert (
            unreadable(save(encapsulated(HU, [b"\xff\x4f rubbish " * 30]), tmp_path / "x", syntax))
            == "PIXELS_UNREADABLE"
        )

    def test_half_a_codestream(self, tmp_path):
        half = encapsulated(HTJ2K_STORED - 1024, [HTJ2K_CODESTREAM[:100]])
        assert unreadable(save(half, tmp_path / "x", HTJ2KLossless)) == "PIXELS_UNREADABLE"

    def test_a_transfer_syntax_without_a_decoder(self, tmp_path):
        assert (
            unreadable(save(encapsulated(HU, [b"x" * 100]), tmp_path / "x", "1.2.840.10008.1.2.4.100"))
            == "PIXELS_UNREADABLE"
        )

    def test_no_dicom(self, tmp_path):
        (tmp_path / "x").write_bytes(b"nothing of the kind")
        assert unreadable(tmp_path / "x") == "NOT_DICOM"

    def test_values_that_are_no_hounsfield_units(self, tmp_path):
        ds = ct_dataset(RescaleSlope=None, RescaleIntercept=None, BitsStored=16, HighBit=15, PixelPaddingValue=None)
        ds.PixelData = np.full((64, 64), 30000, "<u2").tobytes()
        assert unreadable(save(ds, tmp_path / "x")) == "NOT_HOUNSFIELD"

    def test_the_sentence_names_no_patient(self, tmp_path):
        with pytest.raises(BadObject) as caught:
            read_hounsfield(save(encapsulated(HU, [b"x" * 100]), tmp_path / "x", JPEG2000Lossless))
        assert not any(word in caught.value.sentence for word in ("Müller", "ID-1", str(tmp_path)))


class TestRepairs:
    def test_wrapped_values_are_restored_and_said(self, tmp_path):
        ds = ct_dataset(RescaleIntercept="0", PixelPaddingValue=None)
        ds.PixelData = (HU & 0xFFF).astype("<u2").tobytes()
        volume, warned = read_hounsfield(save(ds, tmp_path / "x"))
        assert np.array_equal(volume[0], HU) and codes(warned) == {"WRAP_12BIT_REPAIRED"}

    def test_a_warning_of_many_frames_is_said_once(self, tmp_path):
        ds = enhanced_ct(5, PixelPaddingValue=None)
        for frame in ds.PerFrameFunctionalGroupsSequence:
            del frame.PixelValueTransformationSequence
        _, warned = read_hounsfield(save(ds, tmp_path / "x"), range(1, 6))
        assert [w.code for w in warned] == ["MISSING_RESCALE"]

    @pytest.mark.parametrize("size", [256, 512, 768])
    def test_any_matrix(self, tmp_path, size):
        hu = head_hu(size)
        assert np.array_equal(read_hounsfield(save(ct_dataset(hu), tmp_path / "x"))[0][0], hu)

    def test_a_bare_data_set(self, tmp_path):
        (tmp_path / "x").write_bytes(encode(ct_dataset(), UNCOMPRESSED[0]))
        assert np.array_equal(read_hounsfield(tmp_path / "x")[0][0], HU)

    def test_excess_bytes_after_the_pixels(self, tmp_path):
        ds = ct_dataset()
        ds.PixelData = ds.PixelData + bytes(64)
        assert np.array_equal(read_hounsfield(save(ds, tmp_path / "x"))[0][0], HU)


@pytest.mark.data
def test_training_slices_come_back_as_they_were_written(test_data, tmp_path):
    pytest.importorskip("PIL", reason="pillow is not installed")
    spec = importlib.util.spec_from_file_location("to_dicom", test_data / "ct_ich" / "to_dicom.py")
    to_dicom = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(to_dicom)
    for number in (10, 20, 30):
        name = f"049_{number:02d}.jpg"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pillow's, of an argument the converter uses
            hu = to_dicom.slice_hu(test_data / "ct_ich" / "brain" / name, test_data / "ct_ich" / "bone" / name)
        path = tmp_path / "x.dcm"
        to_dicom.ct_dataset(hu, 49, number, number).save_as(path, enforce_file_format=True)
        volume, warned = read_hounsfield(path)
        assert np.array_equal(volume[0], hu) and warned == ()


@pytest.mark.data
def test_real_slices_hold_air_brain_and_bone(test_data):
    for name in ("01", "14", "28"):
        (volume,), warned = read_hounsfield(test_data / "ge_head_ct" / f"{name}.dcm")
        assert warned == ()
        assert volume.min() == -1024 and volume.max() > 1000
        assert 20 < np.median(volume[(volume > 0) & (volume < 100)]) < 50
