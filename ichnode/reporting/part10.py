"""An object as the bytes of a file (PS3.10)."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterable
from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from ichnode.core.identity import IMPLEMENTATION_CLASS_UID
from ichnode.reporting.facts import DeviceFacts
from ichnode.reporting.sentences import ascii_only


def as_file(made: Dataset, device: DeviceFacts, transfer_syntax_uid: UID = ExplicitVRLittleEndian) -> bytes:
    """Return a Part 10 file; the same bytes for the same object."""
    made.file_meta = _meta(made, device, transfer_syntax_uid)
    with BytesIO() as file:
        made.save_as(file, enforce_file_format=True)
        return file.getvalue()


def as_deflated_file(made: Dataset, device: DeviceFacts, frames: Iterable[bytes], length: int) -> bytes:
    """Return a Part 10 file in Deflated Explicit VR Little Endian (PS3.5 A.5), with Float Pixel Data (7FE0,0008).

    Parameters
    ----------
    made : Dataset
        Everything that comes before the pixels.
    frames : iterable of bytes
        Taken one after the other, so that a long series never lies in memory as numbers.
    length : int
        Of all frames, in bytes.
    """
    with DicomBytesIO() as head:
        head.is_little_endian, head.is_implicit_VR = True, False
        write_dataset(head, made)
        before = head.getvalue()
    tag = Tag("FloatPixelData")
    element = struct.pack("<HH2sHL", tag.group, tag.element, b"OF", 0, length)
    squeezed = zlib.compressobj(zlib.Z_BEST_SPEED, wbits=-zlib.MAX_WBITS)  # what there is to gain are noughts
    with DicomBytesIO() as file:
        file.write(bytes(128) + b"DICM")
        write_file_meta_info(file, _meta(made, device, DeflatedExplicitVRLittleEndian))
        began = file.tell()
        for part in itertools.chain((before, element), frames):
            file.write(squeezed.compress(part))
        file.write(squeezed.flush())
        file.write(bytes((file.tell() - began) % 2))
        return file.getvalue()


def _meta(made: Dataset, device: DeviceFacts, transfer_syntax_uid: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = ascii_only(f"ICHNODE_{device.software_version}")[:16]
    return meta
