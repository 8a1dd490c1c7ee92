"""Reconcile: hold what the archive has against the worklist, and file what should have come and did not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ichnode.core.reasons import NOT_TO_BE_READ
from ichnode.core.retry import backoff_s
from ichnode.core.wanted import Filters, Listed, ListedStudy, is_since, unwanted
from ichnode.dicom.archive import StudyQuery, list_series, source_remote
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.log import get_logger
from ichnode.source_section import MOST_BACK_DAYS
from ichnode.steps.node import LOOKING, Node
from ichnode.worklist import deliveries, retrievals
from ichnode.worklist.retrievals import Here, Retrieval

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """For whom series are looked for: how urgent, of which order, from when on."""

    urgency: int
    order_id: int | None
    patience_s: float


def look_due(node: Node) -> None:
    """Ask the archive for the head CTs of the last hours, where it is time for that."""
    source, now = node.settings.source, node.now()
    if node.draining.is_set() or not source.retrieve:
        return
    with node.worklist.read() as tx:
        circuit = deliveries.circuit(tx, LOOKING)
    if circuit.open_until is not None and now < circuit.open_until:
        return
    last = min(circuit.last_success_at or now, now)
    looked = circuit.last_success_at is not None and circuit.last_success_at <= now  # else the clock was set back
    if looked and not circuit.failures and now < last + timedelta(seconds=source.look_every_s):
        return
    # After a silence of the archive, or of this node, as far back as it lasted.
    since = max(last - timedelta(hours=source.look_back_h), now - timedelta(days=MOST_BACK_DAYS)).astimezone()
    until = now.astimezone() + timedelta(days=1)  # a scanner's clock may be ahead
    query = StudyQuery(since.strftime("%Y%m%d"), until.strftime("%Y%m%d"))
    remote = source_remote(source, node.settings.node.aet, source.timeout_s, node.settings.tls)
    try:
        found = list_series(remote, query, lambda study: is_since(study, since))
    except (PeerUnreachable, PeerRefused) as error:
        silent(node, LOOKING, circuit.failures, error)
        return
    filed = file_missing(node, found, Wish(retrievals.SHOULD_HAVE_COME, None, source.patience_s))
    with node.worklist.write() as tx:
        deliveries.close_circuit(tx, node.now(), LOOKING)
    log.info("source.looked", series=len(found), missing=filed)


def silent(node: Node, circuit: str, failures: int, error: PeerUnreachable | PeerRefused) -> datetime:
    """Ask the archive nothing for a while, the longer the more often it has failed; returns until when."""
    source = node.settings.source
    delay_s = backoff_s(failures + 1, min(source.first_retry_s, source.look_every_s), source.longest_retry_s)
    now = node.now()
    with node.worklist.write() as tx:
        deliveries.break_circuit(tx, now, circuit, error.sentence, delay_s)
    log.warning("source.silent", code=error.code, circuit=circuit, again_in_s=delay_s, remedy=error.sentence)
    return now + timedelta(seconds=delay_s)


def filters_of(node: Node) -> Filters:
    """Return what the configuration says of wanted series."""
    s = node.settings.source
    return Filters(node.settings.selection.min_slices, s.body_parts, s.descriptions, s.leave_out)


def file_missing(node: Node, found: list[Listed], wish: Wish) -> int:
    """File the wanted series that are not here, or not all of them; returns how many became due.

    Each in a transaction of its own. What is filed already and has not changed costs a look only.
    """
    filters = filters_of(node)
    return sum(reconcile(node, listed, wish) for listed in found if unwanted(listed, filters) is None)


def reconcile(node: Node, listed: Listed, wish: Wish) -> bool:
    """File one series that is wanted, unless it is here in full; returns whether it became due."""
    with node.worklist.read() as tx:
        has = retrievals.here(tx, listed.study_instance_uid, listed.series_instance_uid)
        known = retrievals.of_series(tx, listed.study_instance_uid, listed.series_instance_uid)
    now = node.now()
    if has.has_all(listed.images) or has.reason_code in NOT_TO_BE_READ:
        if known is not None and known.state in ("pending", "failed"):
            with node.worklist.write() as tx:
                retrievals.complete(tx, now, known, has)
        return False
    not_before = patience_until(now, has, wish.patience_s)
    with node.worklist.write() as tx:
        if known is None:
            retrievals.list_new(tx, now, listed, not_before, wish.urgency, wish.order_id)
            return True
        if known.state == "pending":
            if listed.images != known.said:
                retrievals.count_again(tx, known, listed.images, max(not_before, known.not_before))
            if (
                wish.urgency < known.urgency
            ):  # an order has listed it, and now it is one that should have come by itself
                retrievals.hasten(tx, now, known, wish.urgency, wish.order_id, not_before)
            return False
        if known.state == "fetching" or not _is_more(listed, known):
            return False
        most = node.settings.source.attempts
        retrievals.list_again(tx, now, known, listed.images, not_before, most, wish.urgency, wish.order_id)
    return True


def patience_until(now: datetime, has: Here, patience_s: float) -> datetime:
    """Return until when a series may still come by itself: it was seen, or its last slice came, just now."""
    return max(now, has.last_slice_at or now) + timedelta(seconds=patience_s) if patience_s else now


def _is_more(listed: Listed, known: Retrieval) -> bool:
    """Tell whether the archive counts more than when the series was fetched last, or the series was withdrawn."""
    return known.state == "withdrawn" or (listed.images or 0) > (known.said or 0)


def is_old(node: Node, study: ListedStudy) -> bool:
    """Tell whether a study began before those that a look takes in: an order leaves these to the look."""
    live_since = node.now() - timedelta(hours=node.settings.source.look_back_h)
    return not is_since(study, live_since.astimezone())
