"""The same document under another SOP Class, for a peer that does not take the one it was made in."""

from __future__ import annotations

from io import BytesIO

import pydicom.config
from pydicom import dcmread

from ichnode.core.identity import derived_uid


def recast(content: bytes, sop_class_uid: str) -> bytes:
    """Return a document with the same content tree under another SOP Class, as another instance.

    Parameters
    ----------
    content : bytes
        A PS3.10 file.
    sop_class_uid : str
        A class that permits all that the content tree has (`Format.sop_classes` lists them).

    Returns
    -------
    bytes
        The same for the same input; its SOP Instance UID is derived from the first one's.
    """
    with pydicom.config.disable_value_validation():
        document = dcmread(BytesIO(content))
        instance = recast_uid(str(document.SOPInstanceUID), sop_class_uid)
        document.SOPClassUID = document.file_meta.MediaStorageSOPClassUID = sop_class_uid
        document.SOPInstanceUID = document.file_meta.MediaStorageSOPInstanceUID = instance
        with BytesIO() as file:
            document.save_as(file, enforce_file_format=True)
            return file.getvalue()


def recast_uid(sop_instance_uid: str, sop_class_uid: str) -> str:
    """Return the SOP Instance UID of a document's counterpart in another class."""
    return derived_uid("recast", sop_instance_uid, sop_class_uid)
