"""Slices as they came over the wire, and as they lie in the spool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom import dcmread

from ichnode.core.identity import digest_of
from ichnode.dicom.access import Peer
from ichnode.dicom.part10 import part10_prefix
from ichnode.dicom.scp import Received
from ichnode.steps.node import Node
from ichnode.steps.recover import look_through_spool, recover

CT, EXPLICIT_LE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


def encoded(file: Path) -> tuple[bytes, str]:
    """The data set of a Part 10 file as it came over the wire, and its SOP Instance UID."""
    meta = dcmread(file, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
    start = 132 + 12 + meta.file_meta.FileMetaInformationGroupLength
    return file.read_bytes()[start:], str(meta.SOPInstanceUID)


def altered(data: bytes) -> bytes:
    """The same data set with another last pixel."""
    return data[:-2] + bytes([data[-2] ^ 1, data[-1]])


def put(node: Node, file: Path, change: Callable[[bytes], bytes] = bytes) -> str:
    """A slice in the spool without a row, as between the two."""
    data, uid = encoded(file)
    data = change(data)
    return node.spool.put_slice(part10_prefix(CT, uid, EXPLICIT_LE, "CT"), data, digest_of(data))


def as_received(file: Path, **other: Any) -> Received:
    """A C-STORE request; `other` replaces what it says."""
    data, uid = encoded(file)
    request = {
        "encoded": data, "transfer_syntax_uid": EXPLICIT_LE, "sop_class_uid": CT, "sop_instance_uid": uid,
        "peer": Peer("CT", "127.0.0.1", "ICHAI"), "association_id": None,
    }  # fmt: skip
    return Received(**{**request, **other})


def started(node) -> None:
    """Do what a start does: free what is held, look through the spool."""
    recover(node)
    look_through_spool(node)
