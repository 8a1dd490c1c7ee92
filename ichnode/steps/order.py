"""Order: a backfill of some days, or the priors of a patient; listed day by day, fetched behind everything else."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ichnode.config import Settings
from ichnode.core.lifecycle import OrderState
from ichnode.core.wanted import Listed, ListedStudy, unwanted
from ichnode.dicom.archive import StudyQuery, list_series, source_remote
from ichnode.errors import ConfigError, PeerRefused, PeerUnreachable
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.steps.reconcile import Wish, file_missing, filters_of, is_old, silent
from ichnode.worklist import audit, deliveries, orders, retrievals, views
from ichnode.worklist.orders import Order

_GIB = 1 << 30
log = get_logger(__name__)


def place_backfill(
    node: Node, by: audit.Actor, first: date, last: date, *, per_hour: int = 0, at_once: int = 0, hours: str = ""
) -> Order:
    """Order the head CTs of some days; the running node fetches them.

    Raises
    ------
    ConfigError
        Nothing can be fetched: ``source.retrieve`` is not set.
    """
    check_source(node)
    with node.worklist.write() as tx:
        order = orders.place(
            tx, node.now(), orders.BACKFILL, first_date=_day(first), last_date=_day(last), per_hour=per_hour,
            at_once=at_once, hours=hours,
        )  # fmt: skip
        audit.record(tx, node.now(), by.name, "backfill.ordered", address=by.address, order=order.id)
        return order


def place_priors(node: Node, by: audit.Actor, study_id: int) -> Order:
    """Order the older head CTs of the patient of a study.

    Raises
    ------
    ConfigError
        Nothing can be fetched, or the study does not say whose it is.
    """
    check_source(node)
    with node.worklist.read() as tx:
        study = views.study(tx, study_id)
    if not _is_plain(study["patient_id"]):
        raise ConfigError("The study has no Patient ID by which its priors could be found.", "NO_PATIENT_ID")
    with node.worklist.write() as tx:
        order = orders.place(tx, node.now(), orders.PRIORS, study_id=study_id)
        audit.record(tx, node.now(), by.name, "study.priors_ordered", study_id, by.address, order=order.id)
        return order


def list_due(node: Node) -> datetime | None:
    """Ask the archive for the next day of an order, or for the priors of one, and file what is missing.

    Returns
    -------
    datetime or None
        When to come again: at once while there is something to ask.
    """
    if node.draining.is_set():
        return None
    with node.worklist.read() as tx:
        finished = orders.finished(tx)
    for order_id in finished:
        with node.worklist.write() as tx:
            orders.finish(tx, node.now(), order_id)
        log.info("order.done", order=order_id)
    with node.worklist.read() as tx:
        asked = [(deliveries.circuit(tx, circuit_of(order)), order) for order in orders.unlisted(tx)]
    due = [(c.failures, o.id, o) for c, o in asked if c.open_until is None or c.open_until <= node.now()]
    if not due:
        return None
    failures, _, order = min(due)  # one whose question fails keeps no other from being asked
    try:
        found = list_priors(node, order) if order.kind == orders.PRIORS else list_day(node, order.next_date)
    except (PeerUnreachable, PeerRefused) as error:
        silent(node, circuit_of(order), failures, error)
        return node.now()
    urgency = retrievals.PRIORS if order.kind == orders.PRIORS else retrievals.BACKFILL
    filed = file_missing(node, found, Wish(urgency, order.id, 0.0))
    next_date = "" if order.kind == orders.PRIORS else following(order)
    with node.worklist.write() as tx:
        orders.listed(tx, node.now(), order, next_date, filed)
        if failures:
            deliveries.close_circuit(tx, node.now(), circuit_of(order))
    log.info("order.listed", order=order.id, series=len(found), missing=filed)
    return node.now()


def circuit_of(order: Order) -> str:
    """Return under which name the failures of an order's questions are counted: each its own."""
    return f"[source] order {order.id}"


def room_for_orders(settings: Settings) -> int:
    """Return how many bytes have to be free for what was ordered to be fetched.

    Well above the mark at which retention removes the oldest images for what comes live, and further above the one at
    which slices are refused: nobody waits for what was ordered.
    """
    low = settings.receive.low_disk_bytes
    return max(settings.retention.free_bytes, low * 5 // 4) + low // 2


def held(node: Node, order: Order) -> str:
    """Return why an open order does not go on, in a sentence; empty where nothing holds it up."""
    if order.state != OrderState.OPEN:
        return ""
    room = room_for_orders(node.settings)
    if node.spool.below(room):
        return f"The disk has less than {room / _GIB:.1f} GiB free: orders wait, live slices do not. Free space."
    with node.worklist.read() as tx:
        circuit = deliveries.circuit(tx, circuit_of(order))
    return f"The archive does not tell more of it: {circuit.last_error}" if circuit.failures else ""


def list_day(node: Node, day: str) -> list[Listed]:
    """Return the CT series that the archive has of one day; what the looks of the node take in is left to them.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    source = node.settings.source
    remote = source_remote(source, node.settings.node.aet, source.timeout_s, node.settings.tls)
    return list_series(remote, StudyQuery(day, day), lambda study: is_old(node, study))


def list_priors(node: Node, order: Order) -> list[Listed]:
    """Return the CT series of the patient's older studies.

    A study counts as the same patient's only where Patient ID and, as far as both say it, the birth date are equal.
    """
    if order.study_id is None:  # the study was forgotten meanwhile
        return []
    with node.worklist.read() as tx:
        own = views.study(tx, order.study_id)

    def is_prior(study: ListedStudy) -> bool:
        same = study.patient_id == own["patient_id"]
        born = {study.birth_date, own["patient_birth_date"]} - {""}
        older = not own["study_date"] or study.study_date <= own["study_date"]
        other = study.study_instance_uid != own["study_instance_uid"]
        return same and len(born) < 2 and older and other and is_old(node, study)

    source = node.settings.source
    remote = source_remote(source, node.settings.node.aet, source.timeout_s, node.settings.tls)
    return list_series(remote, StudyQuery("", own["study_date"], own["patient_id"]), is_prior)


def missing_of(node: Node, found: list[Listed]) -> tuple[list[Listed], list[Listed]]:
    """Return (the wanted series, those of them that are not all here) of what the archive lists."""
    filters = filters_of(node)
    wanted = [one for one in found if unwanted(one, filters) is None]
    with node.worklist.read() as tx:
        missing = [
            one
            for one in wanted
            if not retrievals.here(tx, one.study_instance_uid, one.series_instance_uid).has_all(one.images)
        ]
    return wanted, missing


def following(order: Order) -> str:
    """Return the day that follows the one that was told; empty after the last."""
    if order.next_date >= order.last_date:
        return ""
    return _day(datetime.strptime(order.next_date, "%Y%m%d").date() + timedelta(days=1))


def check_source(node: Node) -> None:
    """Raise `ConfigError` where nothing can be fetched."""
    if not node.settings.source.retrieve:
        raise ConfigError(
            "Nothing can be fetched: name the archive in [source], and set its retrieve to c-move, c-get or wado-rs.",
            "NO_SOURCE",
        )


def _day(day: date) -> str:
    return day.strftime("%Y%m%d")


def _is_plain(text: str) -> bool:
    """Tell whether a Patient ID is one, and no wildcards, which a query would widen to other patients."""
    return bool(text) and not set(text) & set("*?\\")
