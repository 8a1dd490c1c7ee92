"""Retract: tell every destination that a result it has is withdrawn, by an IOCM rejection note."""

from __future__ import annotations

from collections.abc import Iterator

from ichnode.core.identity import derived_uid, digest_of
from ichnode.dicom.dataset import header_dataset
from ichnode.errors import IchnodeError
from ichnode.log import get_logger
from ichnode.reporting.facts import ReportIdentity
from ichnode.reporting.rejection import REJECTION_NOTE, SERIES_NUMBER, build_rejection
from ichnode.steps.node import Node
from ichnode.steps.report import device_facts, reference_of
from ichnode.worklist import retractions
from ichnode.worklist.reports import REJECTION, ReportRow
from ichnode.worklist.retractions import Retraction

log = get_logger(__name__)


def reject_next(node: Node) -> bool:
    """Make the rejection notes of the result that was taken back first.

    Each destination is told of exactly the objects that it has, or may have; destinations that have the same ones get
    the same note. Where nothing was ever sent nobody is told.

    Returns
    -------
    bool
        Whether there was one.
    """
    with node.worklist.read() as tx:
        retraction = retractions.next_retraction(tx)
    if retraction is None:
        return False
    try:
        notes = list(_notes(node, retraction))
    except (IchnodeError, OSError) as error:
        sentence = error.sentence if isinstance(error, IchnodeError) else f"A report cannot be read: {error.strerror}."
        with node.worklist.write() as tx:
            retractions.not_rejected(tx, node.now(), retraction, sentence)
        log.error("result.not_rejected", series=retraction.series_id, remedy=f"{sentence} Reject it in the archive.")
        return True
    with node.worklist.write() as tx:
        if retractions.next_retraction(tx) != retraction:
            return True  # something was sent meanwhile; looked at anew by the next call
        retractions.rejected(tx, node.now(), retraction, notes)
    log.info("result.rejected", series=retraction.series_id, because=retraction.because, notes=len(notes))
    return True


def _notes(node: Node, retraction: Retraction) -> Iterator[tuple[ReportRow, list[str]]]:
    told = [d.name for d in node.settings.destinations if d.rejection_notes]
    held: dict[str, list[ReportRow]] = {}
    for row, destination in retraction.offered:
        if destination in told:
            held.setdefault(destination, []).append(row)
    sharing: dict[tuple[ReportRow, ...], list[str]] = {}
    for destination, rows in held.items():
        sharing.setdefault(tuple(rows), []).append(destination)
    for shared, destinations in sharing.items():
        yield _note(node, retraction, shared), destinations


def _note(node: Node, retraction: Retraction, rows: tuple[ReportRow, ...]) -> ReportRow:
    parts = [row.sop_instance_uid for row in rows]
    identity = ReportIdentity(
        derived_uid("rejection", *parts), derived_uid("rejection-series", *parts), SERIES_NUMBER, 1,
        retraction.at.astimezone(), retraction.revision,
    )  # fmt: skip
    content = build_rejection(
        header_dataset(node.spool.path(rows[0].file)), [reference_of(row) for row in rows],
        because=retraction.because, device=device_facts(node), identity=identity, remark=retraction.remark,
    )  # fmt: skip
    file = node.spool.put_report(content, digest_of(content))
    return ReportRow(
        REJECTION, rows[0].study_instance_uid, identity.series_instance_uid, REJECTION_NOTE,
        identity.sop_instance_uid, file, len(content),
    )  # fmt: skip
