"""An object as the bytes of a file (PS3.10)."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from ichnode.core.identity import IMPLEMENTATION_CLASS_UID
from ichnode.reporting.facts import DeviceFacts
from ichnode.reporting.sentences import ascii_only


def as_file(made: Dataset, device: DeviceFacts, transfer_syntax_uid: UID = ExplicitVRLittleEndian) -> bytes:
    """Return a Part 10 file; the same bytes for the same object."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = ascii_only(f"ICHNODE_{device.software_version}")[:16]
    made.file_meta = meta
    with BytesIO() as file:
        made.save_as(file, enforce_file_format=True)
        return file.getvalue()
