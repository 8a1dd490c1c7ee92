"""Fetch: what is missing comes from the archive, one series at a time for each fetcher, through the receive path."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import datetime, timedelta

from ichnode.channel_section import hours_from
from ichnode.core.alerts import Rule, is_open
from ichnode.core.reasons import because
from ichnode.core.retry import backoff_s
from ichnode.dicom.access import Peer
from ichnode.dicom.archive import retrieve, source_remote
from ichnode.dicom.retrieve import BROKEN_OFF, Instance
from ichnode.dicom.scp import Received
from ichnode.dicom.statuses import status_of
from ichnode.errors import IchnodeError, PeerBusy, PeerRefused, PeerUnreachable
from ichnode.https import NoAnswer, WebRemote
from ichnode.log import get_logger
from ichnode.steps.node import FETCHING, LOOKING, Node
from ichnode.steps.order import room_for_orders
from ichnode.steps.receive import receive_slice
from ichnode.steps.reconcile import silent
from ichnode.worklist import associations, deliveries, orders, retrievals
from ichnode.worklist.retrievals import Here, Retrieval

WEB_AET = "WADO-RS"
"""What stands as sender where the archive has no AE title."""
BEHIND = timedelta(seconds=5)
"""So much later than the others a series is due at which the archive was found silent."""
_CLAIMING = threading.Lock()
log = get_logger(__name__)


class Fetcher:
    """One of those that fetch; it knows what it has in hand."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._in_hand: Retrieval | None = None

    def fetch_due(self) -> datetime | None:
        """Fetch the most urgent series that is due.

        Returns
        -------
        datetime or None
            When to come again: at once while there is something to fetch.
        """
        node = self._node
        if self._in_hand is not None:  # the call before this one broke off: the disk, the worklist, a defect
            _let_go(node, self._in_hand)
        one = self._in_hand = _claimed(node)
        if one is None:
            return None
        _fetch(node, one)
        self._in_hand = None
        return node.now()


def _let_go(node: Node, one: Retrieval) -> None:
    """Let a series be due again behind the others; its attempt stays counted."""
    source = node.settings.source
    later = node.now() + timedelta(seconds=backoff_s(one.attempts, source.first_retry_s, source.longest_retry_s))
    with node.worklist.write() as tx:
        retrievals.let_go(tx, node.now(), one, later)


def _claimed(node: Node) -> Retrieval | None:
    source, now = node.settings.source, node.now()
    if node.draining.is_set() or not source.retrieve or node.spool.below(node.settings.receive.low_disk_bytes):
        return None
    with node.worklist.read() as tx:
        circuit = deliveries.circuit(tx, FETCHING)
        is_due = retrievals.is_due(tx, now)
    if not is_due or (circuit.open_until is not None and now < circuit.open_until):
        return None
    local = now.astimezone()

    def is_time(hours: str) -> bool:
        return is_open(Rule(hours=hours_from(hours)), local)

    with _CLAIMING:  # one after the other: else two of them would begin what only one may
        with node.worklist.read() as tx:
            allowed = ([], []) if node.spool.below(room_for_orders(node.settings)) else orders.allowed(tx, now, is_time)
            if not retrievals.may_claim(tx, now, *allowed):
                return None
        with node.worklist.write() as tx:
            return retrievals.claim(tx, now, node.boot_id, *allowed)


def _fetch(node: Node, one: Retrieval) -> None:
    has = _here(node, one)
    now, source = node.now(), node.settings.source
    # Of an archive that does not count anything is all, unless it is what a retrieval brought that was broken off.
    broken_off = one.said is None and (one.attempts > 1 or one.error is not None)
    if has.has_all(one.said) and not broken_off:
        with node.worklist.write() as tx:
            retrievals.complete(tx, now, one, has)
        return
    if one.urgency == retrievals.SHOULD_HAVE_COME and has.last_slice_at is not None and one.attempts == 1:
        quiet_at = has.last_slice_at + timedelta(seconds=source.patience_s)
        if now < quiet_at:  # it is still coming by itself
            with node.worklist.write() as tx:
                retrievals.put_back(tx, now, one, None, quiet_at)
            return
    with node.worklist.read() as tx:
        circuit, looks = deliveries.circuit(tx, FETCHING), deliveries.circuit(tx, LOOKING)
    try:
        error = _retrieve(node, one)
    except (PeerUnreachable, PeerRefused) as lost:
        if not node.draining.is_set() and (not isinstance(lost, PeerBusy | NoAnswer) or looks.failures):
            again_at = silent(node, FETCHING, circuit.failures, lost) + BEHIND
            with node.worklist.write() as tx:
                retrievals.put_back(tx, node.now(), one, lost.sentence, again_at)
            return
        error = lost.sentence  # it answers the looks: what it cannot give is this series
    if circuit.failures and not node.draining.is_set():
        with node.worklist.write() as tx:
            deliveries.close_circuit(tx, node.now(), FETCHING)
    _judge(node, one, has, error)


def _judge(node: Node, one: Retrieval, before: Here, error: str | None) -> None:
    """Hold what came against what the archive counts."""
    has, now, source = _here(node, one), node.now(), node.settings.source
    said = "an unknown number" if one.said is None else str(one.said)
    facts = f"the archive says {said}, it gave {has.instances}"
    log.info(
        "series.fetched", retrieval=one.id, said=one.said, new=has.instances - before.instances, attempt=one.attempts
    )
    if has.has_all(one.said) and error is None:
        with node.worklist.write() as tx:
            retrievals.complete(tx, now, one, has)
    elif node.draining.is_set():  # broken off here, or what the archive sent was turned away: no fault of the archive
        with node.worklist.write() as tx:
            retrievals.put_back(tx, now, one, BROKEN_OFF, now)
    elif one.attempts < source.attempts:
        delay_s = backoff_s(one.attempts, source.first_retry_s, source.longest_retry_s)
        with node.worklist.write() as tx:
            retrievals.try_again(tx, now, one, has, error or f"{facts[0].upper()}{facts[1:]}.", delay_s)
    else:
        detail = facts if error is None else f"{facts}; {error.rstrip('.')}"
        reason = because("ARCHIVE_GAVE_LESS" if has.instances else "ARCHIVE_GAVE_NONE", detail)
        with node.worklist.write() as tx:
            retrievals.give_up(tx, now, one, has, reason)
        log.warning("series.not_fetched", retrieval=one.id, code=reason.code, remedy=reason.sentence)


def _retrieve(node: Node, one: Retrieval) -> str | None:
    source = node.settings.source
    remote = source_remote(source, node.settings.node.aet, source.timeout_s, node.settings.tls)
    uids, most_bytes = (one.study_instance_uid, one.series_instance_uid), node.settings.receive.max_dataset_bytes
    with ExitStack() as stack:
        taking = _Taking(node, remote.url if isinstance(remote, WebRemote) else remote.host, source.aet or WEB_AET)
        stack.callback(taking.end)
        ended = retrieve(remote, source.retrieve, *uids, taking.take, most_bytes, node.draining.is_set)
        taking.whole = ended.error is None
    return ended.error


class _Taking:
    """What comes on the node's own request goes the way of all slices, under an association of its own."""

    def __init__(self, node: Node, address: str, aet: str) -> None:
        self._node = node
        self._peer = Peer(aet, address[:64], node.settings.node.aet)
        self._association_id: int | None = None
        self.whole = False

    def take(self, instance: Instance) -> int:
        """Take one instance into custody and return the status that answers it."""
        if self._association_id is None:
            with self._node.worklist.write() as tx:
                self._association_id = associations.open_association(
                    tx, self._node.now(), self._node.boot_id, self._peer.address, self._peer.calling_aet
                )
        try:
            return receive_slice(
                self._node,
                Received(
                    self._association_id, self._peer, instance.sop_class_uid, instance.sop_instance_uid,
                    instance.transfer_syntax_uid, instance.encoded,
                ),
            )  # fmt: skip
        except (IchnodeError, OSError) as error:
            status = status_of(error)
            remedy = error.sentence if isinstance(error, IchnodeError) else f"The disk says: {error.strerror}."
            code = error.code if isinstance(error, IchnodeError) else "DISK"
            log.warning("slice.refused", code=code, status=f"0x{status:04X}", remedy=remedy)
            return status

    def end(self) -> None:
        """Record how it ended; that is evidence for completeness."""
        if self._association_id is not None:
            with self._node.worklist.write() as tx:
                how = "released" if self.whole else "lost"
                associations.end_association(tx, self._node.now(), self._association_id, how)


def _here(node: Node, one: Retrieval) -> Here:
    with node.worklist.read() as tx:
        return retrievals.here(tx, one.study_instance_uid, one.series_instance_uid)
