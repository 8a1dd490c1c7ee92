"""Compressed pixels in a process of their own: what is wrong with them costs one picture."""

from __future__ import annotations

import base64
import struct
import threading
import zlib

import numpy as np
import psutil
import pydicom
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from ichnode.dicom.codestreams import check_frame
from ichnode.dicom.decoding import Decoders
from ichnode.dicom.pixels import read_hounsfield
from ichnode.dicom.syntaxes import (
    COMPRESSED,
    DEFLATED_LE,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR_LOSSLESS,
    RLE,
    _samples,
)
from ichnode.errors import BadObject
from tests.dicom.made_ct import UNCOMPRESSED, ct_dataset, head_hu, part10_of, save
from tests.peers import many_descriptors, wait_until

JPEG_2000 = str(JPEG2000Lossless)
JPEGS = (JPEG_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_LS_NEAR_LOSSLESS)


@pytest.fixture
def decoders():
    made = Decoders(most=1, timeout_s=60)
    yield made
    made.close()


def compressed(path, syntax=JPEG2000Lossless):
    ds = ct_dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UNCOMPRESSED[1]
    ds.compress(syntax, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)
    return path


def save_bytes(path, content):
    path.write_bytes(content)
    return path


def altered(path, change):
    """The file with its one frame changed."""
    ds = pydicom.dcmread(path)
    ds.PixelData = encapsulate([change(bytearray(get_frame(ds.PixelData, 0, number_of_frames=1)))])
    ds.save_as(path, enforce_file_format=True)
    return path


def jp2(codestream, before=b"", long=False):
    """A JP2 file of 64 x 64 grey values (ISO 15444-1 annex I), with a box before the codestream."""

    def box(kind, content):
        return struct.pack(">I", len(content) + 8) + kind + content

    said = struct.pack(">IIHBBBB", 64, 64, 1, 15, 7, 0, 0)
    header = box(b"jp2h", box(b"ihdr", said) + box(b"colr", b"\1\0\0" + struct.pack(">I", 17)))
    file = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + header + before
    if long:
        return file + struct.pack(">I4sQ", 1, b"jp2c", len(codestream) + 16) + codestream
    return file + box(b"jp2c", codestream)


def children():
    return [one for one in psutil.Process().children() if "ichnode.decoder" in " ".join(one.cmdline())]


class TestChildren:
    @pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless], ids=lambda uid: uid.name)
    def test_the_same_pixels_as_here(self, decoders, tmp_path, syntax):
        path = compressed(tmp_path / "x", syntax)
        assert np.array_equal(decoders.read_hounsfield(path, [1], str(syntax))[0], head_hu())
        assert decoders.read(path, [1], str(syntax))[1] == read_hounsfield(path)[1]

    def test_one_child_for_many_requests_and_none_for_uncompressed_pixels(self, decoders, tmp_path):
        plain = save(ct_dataset(), tmp_path / "plain")
        assert np.array_equal(decoders.read_hounsfield(plain, [1], str(UNCOMPRESSED[1]))[0], head_hu())
        assert children() == []
        path = compressed(tmp_path / "x")
        for _ in range(3):
            decoders.read_hounsfield(path, [1], JPEG_2000)
        assert len(children()) == 1
        decoders.close()
        assert children() == []

    def test_what_cannot_be_read_is_said_as_it_is_here(self, decoders, tmp_path):
        path = altered(compressed(tmp_path / "x"), lambda frame: frame[:200])
        with pytest.raises(BadObject) as here:
            read_hounsfield(path)
        with pytest.raises(BadObject) as there:
            decoders.read_hounsfield(path, [1], JPEG_2000)
        assert (there.value.code, there.value.sentence) == (here.value.code, here.value.sentence)
        with pytest.raises(BadObject):
            decoders.read_hounsfield(tmp_path / "absent", [1], JPEG_2000)

    def test_a_child_that_dies_in_the_middle_costs_one_picture(self, tmp_path):
        path = compressed(tmp_path / "x")
        decoders = Decoders(most=1, timeout_s=60)
        decoders.read_hounsfield(path, [1], JPEG_2000)
        (child,) = children()
        child.suspend()
        failed: list[str] = []

        def ask():
            with pytest.raises(BadObject) as caught:
                decoders.read_hounsfield(path, [1], JPEG_2000)
            failed.append(caught.value.code)

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: not decoders._idle, 60, "the child has been taken")
        child.kill()
        asking.join(60)
        assert failed == ["PIXELS_UNREADABLE"]
        assert np.array_equal(decoders.read_hounsfield(path, [1], JPEG_2000)[0], head_hu())
        decoders.close()

    def test_a_child_that_takes_too_long_is_ended(self, tmp_path):
        path = compressed(tmp_path / "x")
        decoders = Decoders(most=1, timeout_s=60)
        decoders.read_hounsfield(path, [1], JPEG_2000)
        decoders._timeout_s = 0.2
        (child,) = children()
        child.suspend()
        with pytest.raises(BadObject, match="takes too long"):
            decoders.read_hounsfield(path, [1], JPEG_2000)
        assert children() == []

    def test_with_a_thousand_descriptors_open(self, decoders, tmp_path):
        path = compressed(tmp_path / "x")
        with many_descriptors():
            assert np.array_equal(decoders.read_hounsfield(path, [1], JPEG_2000)[0], head_hu())

    def test_memory_has_a_bound(self, tmp_path):
        path = compressed(tmp_path / "x")
        decoders = Decoders(memory_bytes=32 << 20)
        with pytest.raises(BadObject):
            decoders.read_hounsfield(path, [1], JPEG_2000)
        decoders.close()


class TestBombs:
    def test_a_codestream_that_says_it_is_larger_than_its_header(self, tmp_path):
        def grow(frame):
            at = frame.index(b"\xff\x4f\xff\x51") + 8
            frame[at : at + 8] = struct.pack(">II", 60000, 60000)
            return bytes(frame)

        path = altered(compressed(tmp_path / "x"), grow)
        before = psutil.Process().memory_info().rss
        with pytest.raises(BadObject, match="60000 x 60000, its header says 64 x 64"):
            read_hounsfield(path)
        assert psutil.Process().memory_info().rss - before < 64 << 20

    @pytest.mark.parametrize("uid", [uid for uid in COMPRESSED if uid != RLE])
    def test_the_size_of_every_kind_of_frame_is_read(self, uid):
        frame = base64.b64decode(_samples()[uid])
        check_frame(frame, uid, 32, 32, 2)
        with pytest.raises(BadObject, match="its header says 33 x 32"):
            check_frame(frame, uid, 33, 32, 2)
        for cut in range(0, 60, 7):
            with pytest.raises(BadObject):
                check_frame(frame[:cut], uid, 31, 32, 2)

    @pytest.mark.parametrize("uid", [uid for uid in COMPRESSED if uid != RLE])
    def test_a_size_that_stands_where_no_decoder_looks_counts_for_nothing(self, uid):
        frame = base64.b64decode(_samples()[uid])
        decoy = b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 41, 0, 33, 32, 0, 0) + bytes(23)
        as_comment = b"\xff\xfe" + struct.pack(">H", len(decoy) + 2) + decoy
        if uid in JPEGS:
            hidden = [frame[:2] + as_comment + frame[2:]]
            check_frame(hidden[0], uid, 32, 32, 2)
        else:
            free = struct.pack(">I", len(decoy) + 8) + b"free" + decoy
            hidden = [jp2(frame, free), free + frame, frame[:2] + as_comment + frame[2:]]
            check_frame(hidden[0], uid, 32, 32, 2)
        for one in hidden:
            with pytest.raises(BadObject):
                check_frame(one, uid, 32, 33, 2)

    def test_a_frame_of_another_kind_than_its_transfer_syntax(self):
        for uid in (JPEG_2000, JPEG_LS, JPEG_LOSSLESS):
            for other in {JPEG_2000, JPEG_LS, JPEG_LOSSLESS} - {uid}:
                with pytest.raises(BadObject, match="has no header"):
                    check_frame(base64.b64decode(_samples()[other]), uid, 32, 32, 2)

    def test_a_codestream_in_a_jp2_file_is_measured_and_read(self, tmp_path):
        path = altered(compressed(tmp_path / "x"), lambda frame: jp2(bytes(frame), bytes.fromhex("00000008") + b"free"))
        assert np.array_equal(read_hounsfield(path)[0][0], head_hu())
        long = altered(compressed(tmp_path / "long"), lambda frame: jp2(bytes(frame), long=True))
        assert np.array_equal(read_hounsfield(long)[0][0], head_hu())

        def grow(frame):
            return jp2(bytes(frame)).replace(struct.pack(">II", 64, 64), struct.pack(">II", 60000, 60000))

        with pytest.raises(BadObject, match="60000 x 60000, its header says 64 x 64"):
            read_hounsfield(altered(compressed(tmp_path / "bomb"), grow))
        with pytest.raises(BadObject, match="has no header"):
            check_frame(jp2(b"")[:-8] + bytes(40), JPEG_2000, 64, 64, 2)

    def test_run_lengths_without_end(self):
        check_frame(bytes(3000), RLE, 32, 32, 2)
        with pytest.raises(BadObject, match="longer than its pixels"):
            check_frame(bytes(1 << 20), RLE, 32, 32, 2)

    def test_deflated_zeros(self, tmp_path):
        """A file of 300 KB that becomes 256 MiB."""
        head = part10_of(DEFLATED_LE)
        start = 144 + int.from_bytes(head[140:144], "little")
        inflated = zlib.decompress(head[start:], -zlib.MAX_WBITS)
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        read_hounsfield(save_bytes(tmp_path / "sound", head))
        packed = deflater.compress(inflated[:-8]) + deflater.compress(bytes(256 << 20)) + deflater.flush()
        (tmp_path / "x").write_bytes(head[:start] + packed)
        before = psutil.Process().memory_info().rss
        with pytest.raises(BadObject, match="inflates to more than it can hold"):
            read_hounsfield(tmp_path / "x")
        assert psutil.Process().memory_info().rss - before < 64 << 20

    def test_a_matrix_that_no_scanner_has(self, tmp_path):
        path = save(ct_dataset(Rows=65535, Columns=65535), tmp_path / "x")
        with pytest.raises(BadObject, match="is no CT"):
            read_hounsfield(path)
