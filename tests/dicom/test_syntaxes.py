"""Every transfer syntax that is accepted: sent by a real sender, stored as it came, decoded to the same pixels."""

from __future__ import annotations

import base64
import json
from importlib.resources import files

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from ichnode.dicom import syntaxes
from ichnode.dicom.syntaxes import CT_IMAGE, decodable_syntaxes
from tests.dicom.made_ct import ct_dataset, head_hu, save
from tests.dicom.wire import AET, Receiver, associate, data_set_of

STORED = (head_hu(64) + 1024).astype(np.int64)
BY_DCMTK = {
    syntaxes.JPEG_LOSSLESS_SV1: (["dcmcjpeg", "+e1"], "-xs"),
    syntaxes.JPEG_LOSSLESS: (["dcmcjpeg", "+el"], None),
    syntaxes.JPEG_LS: (["dcmcjpls", "+el"], "-xt"),
    syntaxes.JPEG_LS_NEAR_LOSSLESS: (["dcmcjpls", "+en", "+md", "2"], "-xu"),
    syntaxes.RLE: (["dcmcrle"], "-xr"),
    syntaxes.DEFLATED_LE: (["dcmconv", "+td"], "-xd"),
    syntaxes.EXPLICIT_BE: (["dcmconv", "+tb"], "-xb"),
    syntaxes.EXPLICIT_LE: (["dcmconv", "+te"], "-xe"),
    syntaxes.IMPLICIT_LE: (["dcmconv", "+ti"], "-xi"),
}


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.dcm"
    save(ct_dataset(head_hu(64)), path)
    return path


def test_all_of_the_house_are_decodable_here():
    assert set(decodable_syntaxes()) == {*syntaxes.UNCOMPRESSED, syntaxes.DEFLATED_LE, *syntaxes.COMPRESSED}
    assert syntaxes.COMPRESSED[0] == "1.2.840.10008.1.2.4.70"
    assert all(UID(uid).is_transfer_syntax for uid in decodable_syntaxes())


@pytest.mark.interop
@pytest.mark.parametrize("syntax", BY_DCMTK, ids=lambda uid: UID(uid).name)
def test_from_dcmtk(syntax, plain, tmp_path, dcmtk):
    (program, *options), proposal = BY_DCMTK[syntax]
    encoded = tmp_path / "encoded.dcm"
    dcmtk(program, *options, plain, encoded)
    assert pydicom.dcmread(encoded).file_meta.TransferSyntaxUID == syntax
    with Receiver() as receiver:
        if proposal is None:
            dcmtk("dcmsend", "--decompress-never", "-aec", AET, "127.0.0.1", receiver.port, encoded)
        else:
            dcmtk("storescu", proposal, "-aec", AET, "127.0.0.1", receiver.port, encoded)
    (received,) = receiver.received
    assert received.transfer_syntax_uid == syntax
    error = np.abs(data_set_of(received).pixel_array.astype(np.int64) - STORED).max()
    assert error <= (2 if syntax in syntaxes.LOSSY else 0)


@pytest.mark.parametrize("syntax", [u for u in syntaxes.COMPRESSED if u not in BY_DCMTK], ids=lambda uid: UID(uid).name)
def test_from_pynetdicom(syntax):
    frame = base64.b64decode(json.loads(files("ichnode.dicom").joinpath("samples.json").read_text())[syntax])
    ds = ct_dataset(Rows=32, Columns=32, BitsStored=16, HighBit=15)
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    with Receiver() as receiver:
        association = associate(receiver.port, (CT_IMAGE, [syntax]))
        assert association.send_c_store(ds).Status == 0
        association.release()
    (received,) = receiver.received
    assert received.transfer_syntax_uid == syntax
    y, x = np.mgrid[:32, :32]
    shown = 1000 + 40 * x + 24 * y + (x * y) % 5
    error = np.abs(data_set_of(received).pixel_array.astype(np.int64) - shown).max()
    assert error <= (2 if syntax in syntaxes.LOSSY else 0)


class TestWithoutADecoder:
    @pytest.fixture(autouse=True)
    def _fresh(self):
        decodable_syntaxes.cache_clear()
        yield
        decodable_syntaxes.cache_clear()

    @pytest.mark.parametrize(
        ("syntax", "plugin"),
        [(syntaxes.HTJ2K_LOSSLESS, "pylibjpeg"), (syntaxes.JPEG_LOSSLESS_SV1, "gdcm")],
    )
    def test_a_missing_plugin(self, syntax, plugin):
        decoder = pydicom.pixels.get_decoder(UID(syntax))
        saved = dict(decoder._available)
        decoder._available.clear()
        try:
            assert syntax not in decodable_syntaxes()
            assert syntaxes.EXPLICIT_LE in decodable_syntaxes()
        finally:
            decoder._available.update(saved)
        assert plugin in saved

    def test_a_plugin_that_decodes_wrongly(self, monkeypatch):
        decoder = pydicom.pixels.get_decoder(UID(syntaxes.RLE))
        monkeypatch.setattr(decoder, "_available", {"bad": lambda frame, runner: bytearray(2048)})
        assert syntaxes.RLE not in decodable_syntaxes()
        assert syntaxes.JPEG_LS in decodable_syntaxes()

    @pytest.mark.parametrize("error", [RuntimeError, ValueError, NotImplementedError])
    def test_a_plugin_that_fails(self, error, monkeypatch):
        def fail(frame, runner):
            raise error("no")

        decoder = pydicom.pixels.get_decoder(UID(syntaxes.RLE))
        monkeypatch.setattr(decoder, "_available", {"bad": fail})
        assert syntaxes.RLE not in decodable_syntaxes()

    def test_what_is_not_decodable_is_not_accepted(self, monkeypatch):
        decoder = pydicom.pixels.get_decoder(UID(syntaxes.JPEG_LS))
        monkeypatch.setattr(decoder, "_available", {})
        with Receiver(syntaxes=decodable_syntaxes()) as receiver:
            association = associate(receiver.port, (CT_IMAGE, [syntaxes.JPEG_LS]))
            assert not association.is_established
