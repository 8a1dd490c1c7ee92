"""An archive that stores and commits as told: on the same association or a new one, late, in part, or never."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import ComprehensiveSRStorage, StorageCommitmentPushModel, Verification

from tests.association import PATIENCE_S, Caller, answers_are_ours, serving
from tests.peers import free_port

WELL_KNOWN = "1.2.840.10008.1.20.1.1"
EXPLICIT_LE, IMPLICIT_LE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def report(
    transaction: str | None, kept: tuple[str, ...] = (), lost: tuple[str, ...] = (), why: int = 0x0112
) -> Dataset:
    """The Event Information (PS3.4 Table J.3-2)."""
    said = Dataset()
    if transaction is not None:
        said.TransactionUID = transaction
    if kept:
        said.ReferencedSOPSequence = [_reference(uid) for uid in kept]
    if lost:
        said.FailedSOPSequence = [_reference(uid) for uid in lost]
        for item in said.FailedSOPSequence:
            item.FailureReason = why
    return said


def _reference(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ComprehensiveSRStorage, uid
    return item


def call(
    port: int, *, calling: str = "ARCHIVE", called: str = "ICHAI", roles: bool = True, also: tuple[str, ...] = ()
) -> Association:
    """Open an association to report on, as the SCP where `roles`."""
    contexts = [build_context(uid, [EXPLICIT_LE]) for uid in (StorageCommitmentPushModel, *also)]
    role = [build_role(StorageCommitmentPushModel, scp_role=True)] if roles else None
    return Caller(calling).associate("127.0.0.1", port, contexts, ae_title=called, ext_neg=role)


def send_report(port: int, said: Dataset, event_type: int | None = None, **options: Any) -> int:
    """Report on a new association; returns the status, -1 where nobody answers."""
    kind = event_type or (2 if "FailedSOPSequence" in said else 1)
    association = call(port, **options)
    if not association.is_established:
        return -1
    status, _ = association.send_n_event_report(said, kind, StorageCommitmentPushModel, WELL_KNOWN)
    association.release()
    return int(status.get("Status", -1))


@dataclass
class Archive:
    """What it holds, what it was asked, and how it answers."""

    port: int = field(default_factory=free_port)
    aet: str = "ARCHIVE"
    answers: str = "same"
    """On the "same" association, "early" on it (before it answers the request), on a "new" one, or "never"."""
    calls: Callable[[], int] = lambda: 0
    """The port of the node, for a new association."""
    status: int = 0x0000
    """Of the next N-ACTION."""
    commits: bool = True
    """Whether it takes the service at all."""
    stored: list[str] = field(default_factory=list)
    """SOP Instance UIDs in the order in which they came."""
    holds: set[str] = field(default_factory=set)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    """(transaction UID, instances) of each request."""
    told: list[int] = field(default_factory=list)
    """Statuses that its reports were answered with."""

    @contextmanager
    def listening(self) -> Iterator[Archive]:
        """Answer inside the block; outside of it nobody listens on the port."""
        ae = AE(ae_title=self.aet)
        services = (Verification, ComprehensiveSRStorage, *((StorageCommitmentPushModel,) if self.commits else ()))
        for uid in services:
            ae.add_supported_context(uid)
        acts = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._action), (evt.EVT_C_ECHO, lambda _: 0)]
        self._threads: list[threading.Thread] = []
        with serving(ae, self.port, acts):
            try:
                yield self
            finally:
                for thread in self._threads:
                    thread.join(PATIENCE_S)

    def result(self, transaction: str, uids: list[str]) -> Dataset:
        """What it says of a request now."""
        return report(
            transaction,
            tuple(uid for uid in uids if uid in self.holds),
            tuple(uid for uid in uids if uid not in self.holds),
        )

    def _store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.stored.append(uid)
        self.holds.add(uid)
        return 0x0000

    def _action(self, event: evt.Event) -> tuple[int, None]:
        asked = event.action_information
        uids = [str(item.ReferencedSOPInstanceUID) for item in asked.ReferencedSOPSequence]
        assert event.request.RequestedSOPInstanceUID == WELL_KNOWN
        self.asked.append((str(asked.TransactionUID), uids))
        if self.answers == "early":
            self._before_the_response(event)
        elif self.status == 0 and self.answers != "never":
            said = self.result(*self.asked[-1])
            how = self._on_this if self.answers == "same" else self._on_another
            thread = threading.Thread(target=how, args=(event.assoc, said))
            self._threads.append(thread)
            thread.start()
        return self.status, None

    def _before_the_response(self, event: evt.Event) -> None:
        early = N_EVENT_REPORT()
        early.MessageID, early.EventTypeID = 7, 1
        early.AffectedSOPClassUID, early.AffectedSOPInstanceUID = StorageCommitmentPushModel, WELL_KNOWN
        syntax = event.context.transfer_syntax
        encoded = encode(self.result(*self.asked[-1]), syntax.is_implicit_VR, syntax.is_little_endian)
        early.EventInformation = BytesIO(encoded or b"")
        event.assoc.dimse.send_msg(early, event.context.context_id)

    def _on_this(self, association: Association, said: Dataset) -> None:
        kind = 2 if "FailedSOPSequence" in said else 1
        with suppress(RuntimeError), answers_are_ours(association):  # the node may have ended the association
            status, _ = association.send_n_event_report(said, kind, StorageCommitmentPushModel, WELL_KNOWN)
            self.told.append(int(status.get("Status", -1)))

    def _on_another(self, _: Association, said: Dataset) -> None:
        self.told.append(send_report(self.calls(), said, calling=self.aet))
