"""Storage Commitment Push Model as its SCU (PS3.4 Annex J): the question by N-ACTION, the answer by N-EVENT-REPORT.

The answer comes on the association of the question, or, from most archives, on one that the archive opens later, where
it is the requestor and takes the SCP's role (PS3.7 D.3.3.4). Both ways end in `report_status`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import PresentationContext, build_context

from ichnode.dicom.event_reports import Take, report_status
from ichnode.dicom.requestor import Remote, associated
from ichnode.dicom.syntaxes import EXPLICIT_LE, IMPLICIT_LE, STORAGE_COMMITMENT
from ichnode.errors import PeerRefused, PeerUnreachable

PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
_REQUEST = 1
_LOOK_S = 0.05


def ask_whether_it_commits(remote: Remote) -> None:
    """Ask for an association for storage commitment and nothing more.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    with associated(remote, [_context()]):
        pass


def ask(
    remote: Remote,
    transaction_uid: str,
    instances: Sequence[tuple[str, str]],
    take: Take,
    is_settled: Callable[[], bool],
    wait_s: float,
) -> None:
    """Ask a peer to commit itself to keep some objects, and wait a little for an answer on the same association.

    No role is proposed: without that the requestor is the SCU (PS3.7 D.3.3.4), as it should be.

    Parameters
    ----------
    instances : sequence of (SOP Class UID, SOP Instance UID)
    take : callable
        Given the answer, should it come on this association; in another thread.
    is_settled : callable
        Tells whether the answer has come another way.
    wait_s : float
        Longest wait for it, in seconds.

    Raises
    ------
    PeerUnreachable, PeerRefused
        The request was not taken.
    """
    told = threading.Event()  # nothing that the peer has reported waits for its response
    told.set()

    def reported(event: evt.Event) -> tuple[int, None]:
        told.clear()
        request = event.request
        encoded = request.EventInformation.getvalue() if request.EventInformation else b""
        syntax = str(event.context.transfer_syntax)
        status, _ = report_status(remote.aet, request.EventTypeID, syntax, encoded, take)
        return status, None

    def sent(event: evt.Event) -> None:
        if isinstance(event.pdu, P_DATA_TF):
            told.set()

    acts = [(evt.EVT_N_EVENT_REPORT, reported), (evt.EVT_PDU_SENT, sent)]
    with associated(remote, [_context()], acts) as association:
        question = _question(transaction_uid, instances)
        answer, _ = association.send_n_action(question, _REQUEST, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE)
        if "Status" not in answer:
            raise PeerUnreachable(f"{remote.name} did not answer the request for storage commitment in time.")
        if answer.Status != 0:
            raise PeerRefused(f"{remote.name} refused the request for storage commitment with 0x{answer.Status:04X}.")
        end = time.monotonic() + wait_s
        while time.monotonic() < end and association.is_established and not is_settled():
            time.sleep(_LOOK_S)
        told.wait(remote.timeout_s)


def _context() -> PresentationContext:
    return build_context(STORAGE_COMMITMENT, [EXPLICIT_LE, IMPLICIT_LE])


def _question(transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Dataset:
    """Return the Action Information (PS3.4 Table J.3-1)."""
    asked = Dataset()
    asked.TransactionUID = transaction_uid
    asked.ReferencedSOPSequence = []
    for sop_class, instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        asked.ReferencedSOPSequence.append(item)
    return asked
