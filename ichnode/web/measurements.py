"""The metrics of the node as Prometheus has them: each name with its help, filled from rows. No patient's data."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ichnode.log import refusals
from ichnode.steps.certificates import look_at
from ichnode.steps.node import Node
from ichnode.worklist import alarms, backlog, models, relays, retrievals, vitals, workitems
from ichnode.worklist.relays import ATNA
from ichnode.worklist.tally import BOUNDS_S, Tally

_EVENTS: Sequence[tuple[str, str, str, tuple[str, ...]]] = (
    ("study.opened", "ichnode_studies", "Studies of which a first slice came.", ()),
    ("series.opened", "ichnode_series", "Series of which a first slice came.", ()),
    ("series.closed", "ichnode_series_complete", "Series taken as complete, by the evidence.", ("because",)),
    ("series.ignored", "ichnode_series_not_read", "Series that are not to be analysed, by reason code.", ("reason",)),
    ("series.purged", "ichnode_series_purged", "Series whose images retention removed: age or disk.", ("because",)),
    ("slice.conflict", "ichnode_slice_conflicts", "Slices that came again with other content.", ()),
    ("job.failed", "ichnode_jobs_failed", "Analyses and reports that failed for good.", ("kind", "reason")),
    ("job.released", "ichnode_jobs_released", "Analyses whose worker ended in the middle.", ()),
    ("result.made", "ichnode_results", "Answers, by verdict and reason code.", ("verdict", "reason")),
    ("result.retracted", "ichnode_results_retracted", "Answers that were taken back.", ("because",)),
    ("delivery.accepted", "ichnode_deliveries_accepted", "Objects and notices taken.", ("destination",)),
    ("delivery.again", "ichnode_deliveries_again", "Attempts after which it is tried again.", ("destination",)),
    ("delivery.refused", "ichnode_deliveries_refused", "Objects and notices refused for good.", ("destination",)),
    ("delivery.given_up", "ichnode_deliveries_given_up", "What waited too long.", ("destination",)),
    (
        "retrieval.complete",
        "ichnode_retrievals_complete",
        "Series that the archive was asked for, and that are here.",
        (),
    ),
    ("retrieval.failed", "ichnode_retrievals_given_up", "Series that the archive lists and does not give.", ()),
    ("notice.filed", "ichnode_notices", "Notices for channels.", ("channel", "kind")),
)
_REFUSED = {
    "association.rejected": ("ichnode_associations_rejected", "Associations rejected, by code; since the start."),
    "slice.refused": ("ichnode_slices_refused", "Slices refused, by code; since the start."),
}
_WAITED = {
    "after_first_s": ("ichnode_result_after_first_slice_seconds", "From the first slice of a series to its answer."),
    "after_last_s": ("ichnode_result_after_last_slice_seconds", "From the last slice of a series to its answer."),
}


class Measurements:
    """Collects all metrics of a node; each scrape reads them anew."""

    def __init__(self, node: Node, tally: Tally) -> None:
        self._node = node
        self._tally = tally

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics, all from one view of the rows."""
        node, now = self._node, self._node.now()
        with node.worklist.read() as tx:
            self._tally.catch_up(tx)
            states, waits, unread = backlog.by_state(tx), backlog.oldest(tx), backlog.unread(tx)
            boot = vitals.boot(tx, node.boot_id) or {}
            registered = [row for row in models.registered(tx) if row.state == "active"]
            unsent = {(): relays.waiting(tx, ATNA)} if node.settings.audit.host else {}
            overdue, silent = alarms.count(tx), alarms.count(tx, alarms.SILENT_SENDER)
            fetches = {(state,): number for state, number in retrievals.counts(tx).items()}
            tasks = (
                {(state,): number for state, number in workitems.counts(tx).items()}
                if node.settings.workitems.url
                else {}
            )
            associations, removals = backlog.open_associations(tx, node.boot_id), backlog.to_unlink(tx)
            names = [*node.destinations, *(channel.name for channel in node.settings.channels)]
            outlets = [(vitals.outlet(tx, now, name), backlog.waiting_for(tx, name)) for name in names]
        yield from self._counted()
        yield _gauge("ichnode_series_in_state", "Series by state.", ("state",), states["series"])
        yield _gauge("ichnode_jobs_in_state", "Jobs by kind and state.", ("kind", "state"), states["jobs"])
        yield _gauge(
            "ichnode_deliveries_in_state", "Objects and notices by destination or channel, and state.",
            ("destination", "state"), states["deliveries"],
        )  # fmt: skip
        yield _gauge(
            "ichnode_oldest_waiting_seconds", "Age of what waits longest: to be complete, analysed, reported.",
            ("stage",), {(stage,): _age(now, at) for stage, at in waits.items()},
        )  # fmt: skip
        yield _gauge("ichnode_studies_unread", "Studies nobody has signed off, by status.", ("status",),
                     {(status,): number for status, number in unread.items()})  # fmt: skip
        yield _gauge("ichnode_studies_overdue", "Studies without a result for too long.", (), {(): overdue})
        yield _gauge("ichnode_senders_silent", "Senders that have been silent for too long.", (), {(): silent})
        yield _gauge("ichnode_retrievals_in_state", "Series to be fetched from the archive.", ("state",), fetches)
        yield _gauge("ichnode_workitems_in_state", "Work items that it performs for others.", ("state",), tasks)
        yield _gauge("ichnode_associations_open", "Associations that are open now.", (), {(): associations})
        yield _gauge("ichnode_files_to_unlink", "Files of purged series still to be unlinked.", (), {(): removals})
        yield _gauge("ichnode_audit_unsent", "Rows of the audit journal that the repository has not got.", (), unsent)
        yield from _outlets(now, outlets)
        yield from _certificates(node, now)
        yield from self._machine(boot)
        active = {(m.name, m.version, m.digest): 1 for m in registered}
        yield _gauge("ichnode_model_info", "The active model.", ("name", "version", "digest"), active)

    def _counted(self) -> Iterator[Metric]:
        tally = self._tally
        yield CounterMetricFamily("ichnode_slices_received", "Slices taken and acknowledged.", value=tally.slices)
        for event, name, says, labels in _EVENTS:
            family = CounterMetricFamily(name, says, labels=labels)
            if not labels:
                family.add_metric([], tally.events[event, ()])
            for (kind, words), number in sorted(tally.events.items()):
                if kind == event and labels:
                    family.add_metric(list(words), number)
            yield family
        for event, (name, says) in _REFUSED.items():
            family = CounterMetricFamily(name, says, labels=("code",))
            for (kind, code), number in sorted(refusals().items()):
                if kind == event:
                    family.add_metric([code], number)
            yield family
        for name, (called, says) in _WAITED.items():
            waited = tally.waited[name]
            buckets = [(str(bound), float(n)) for bound, n in zip(BOUNDS_S, waited.at_most, strict=True)]
            buckets.append(("+Inf", float(waited.number)))
            yield HistogramMetricFamily(called, says, buckets=buckets, sum_value=waited.total_s)

    def _machine(self, boot: dict[str, object]) -> Iterator[Metric]:
        node, receive = self._node, self._node.settings.receive
        disk = shutil.disk_usage(node.spool.root)
        started, state = boot.get("started_at"), str(boot.get("worker_state") or "not started")
        yield _gauge("ichnode_info", "Version of the node.", ("version",), {(version("ichnode"),): 1})
        yield _gauge("ichnode_start_time_seconds", "When the node started, in seconds since the epoch.", (),
                     {(): started.timestamp()} if isinstance(started, datetime) else {})  # fmt: skip
        known = ("not started", "loading", "unreachable", "no worker", "ready", "ended")
        yield _gauge("ichnode_worker_state", "1 for the state that the analysing worker is in.", ("state",),
                     {(one,): float(one == state) for one in known})  # fmt: skip
        device = boot.get("worker_device")
        yield _gauge(
            "ichnode_worker_info", "Where the worker computes.", ("device",), {(str(device),): 1} if device else {}
        )
        yield _gauge("ichnode_disk_free_bytes", "Bytes free on the spool's disk.", (), {(): disk.free})
        yield _gauge("ichnode_disk_total_bytes", "Bytes of the spool's disk.", (), {(): disk.total})
        yield _gauge("ichnode_disk_low_bytes", "Bytes free below which slices are refused.", (),
                     {(): receive.low_disk_bytes})  # fmt: skip


def _outlets(now: datetime, outlets: Sequence[tuple[dict[str, object], datetime | None]]) -> Iterator[Metric]:
    up, paused, oldest, success = {}, {}, {}, {}
    for facts, since in outlets:
        name = (str(facts["name"]),)
        up[name], paused[name] = float(not facts["failures"]), float(facts["paused_at"] is not None)
        oldest[name] = _age(now, since)
        if isinstance(facts["last_success_at"], datetime):
            success[name] = facts["last_success_at"].timestamp()
    labels = ("destination",)
    yield _gauge("ichnode_destination_up", "0 where a destination or channel does not answer.", labels, up)
    yield _gauge("ichnode_destination_paused", "1 where a person has paused it.", labels, paused)
    yield _gauge("ichnode_destination_oldest_seconds", "Age of what waits longest for it.", labels, oldest)
    yield _gauge("ichnode_destination_success_seconds", "When it last took something, seconds since the epoch.",
                 labels, success)  # fmt: skip


def _certificates(node: Node, now: datetime) -> Iterator[Metric]:
    looked = list(look_at(node.settings, now))
    labels = ("setting",)
    yield _gauge(
        "ichnode_certificate_usable", "0 where a file with certificates cannot be read, or is no pair with its key.",
        labels, {(one.setting,): float(one.expires_at is not None) for one in looked},
    )  # fmt: skip
    yield _gauge(
        "ichnode_certificate_expires_seconds", "When the first certificate of a file ends, seconds since the epoch.",
        labels, {(one.setting,): one.expires_at.timestamp() for one in looked if one.expires_at},
    )  # fmt: skip
    yield _gauge("ichnode_certificate_warn_seconds", "Seconds before its end from which on a certificate is told of.",
                 (), {(): node.settings.tls.warn_days * 86400.0})  # fmt: skip


def _gauge(name: str, says: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(name, says, labels=labels)
    for words, value in sorted(values.items()):
        family.add_metric(list(words), value)
    return family


def _age(now: datetime, since: datetime | None) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
