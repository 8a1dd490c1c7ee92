"""Receive: one slice, durable on disk and in a row before the peer gets 0x0000."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ichnode.core.identity import digest_of
from ichnode.core.urgency import PEER, REQUEST, Said, is_urgent_priority
from ichnode.dicom.equivalence import same_content
from ichnode.dicom.header import InstanceHeader, parse_dataset, parse_file
from ichnode.dicom.part10 import part10_prefix
from ichnode.dicom.scp import Received
from ichnode.errors import BadObject, DiskFull, FileRemoved
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist.receipts import Disposition, Receipt, known_files

log = get_logger(__name__)


def receive_slice(node: Node, received: Received) -> int:
    """Take one C-STORE request into custody and return its DIMSE status (0x0000).

    Raises
    ------
    DiskFull
        Below the watermark; the peer may try again (0xA700).
    BadObject
        The data set is unreadable or is not what the request says it is (0xC000 range, 0xA900).
    TransientError
        The worklist cannot be written now (0xA700).
    """
    if node.spool.below(node.settings.receive.low_disk_bytes):
        raise DiskFull("The spool's disk is below receive.low_disk_bytes: free space or move node.data.")
    header = parse_dataset(received.encoded, received.transfer_syntax_uid)
    if header.sop_class_uid != received.sop_class_uid:
        raise BadObject("The data set's SOP Class is not the one of the C-STORE request.", "SOP_CLASS_MISMATCH")
    if header.sop_instance_uid != received.sop_instance_uid:
        raise BadObject(
            "The data set's SOP Instance UID is not the one of the C-STORE request.", "SOP_INSTANCE_MISMATCH"
        )
    digest = digest_of(received.encoded)
    prefix = part10_prefix(
        received.sop_class_uid, received.sop_instance_uid, received.transfer_syntax_uid, received.peer.calling_aet
    )
    while True:
        file = node.spool.put_slice(prefix, received.encoded, digest)
        with suppress(FileRemoved):  # it came back in the very moment at which retention removed it: put it again
            said = Said(PEER, received.peer.calling_aet) if received.urgent else None
            take_custody(node, header, file, digest, received.association_id, said)
            return 0x0000


def adopt_file(node: Node, file: str) -> None:
    """Give a spool file without a row its row: the node died between the two, and nothing that came is thrown away.

    Raises
    ------
    BadObject
        The file cannot be read; it stays where it is.
    """
    header = parse_file(node.spool.path(file))
    take_custody(node, header, file, Path(file).stem, None)


def take_custody(
    node: Node, header: InstanceHeader, file: str, digest: str, association_id: int | None, urgent: Said | None = None
) -> Disposition:
    """Write the row of a file that is durable.

    Parameters
    ----------
    urgent : Said or None
        Why the sender's slices are urgent; a slice may say so itself.

    Raises
    ------
    FileRemoved
        It was removed with its purged series a moment ago; nothing was written.
    """
    try:
        size = node.spool.size(file)
    except FileNotFoundError:
        raise FileRemoved("The file of this slice was removed with its series.") from None
    if urgent is None and is_urgent_priority(header.study.priority):
        urgent = Said(REQUEST, header.study.priority)
    receipt = Receipt(
        header.study, header.sop_instance_uid, header.sop_class_uid, header.transfer_syntax_uid, digest, size, file,
        header.slices, node.now(), association_id, urgent,
    )  # fmt: skip
    disposition, others = node.custody.take(receipt)
    if disposition is Disposition.DUPLICATE and file not in others:
        _drop(node, file)  # it came on an earlier day: one copy is enough
    if disposition is not Disposition.CONFLICT:
        return disposition
    if any(same_content(node.spool.path(other), node.spool.path(file)) for other in others):
        _drop(node, file)  # the same image in another transfer syntax
        return Disposition.DUPLICATE
    disposition, _ = node.custody.keep(receipt)
    log.warning("slice.conflict", digest=digest[:12], remedy="same SOP Instance UID, other content: ask the sender")
    return disposition


def _drop(node: Node, file: str) -> None:
    """Remove a copy unless a row speaks of it; whoever is about to write one sees that it is gone and puts it again."""
    with node.worklist.write() as tx:
        if not known_files(tx, [file]):
            node.spool.discard(file)
