"""Deliver: send the objects that are due to one destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from ichnode.core.identity import digest_of
from ichnode.dicom.destination import ask_whether_there, give, remote_of
from ichnode.dicom.store_answers import Alternatives
from ichnode.reporting.formats import FORMATS
from ichnode.reporting.recast import recast, recast_uid
from ichnode.sections import DestinationSection
from ichnode.steps.node import Node
from ichnode.steps.outbox import Answer, Outlet, empty
from ichnode.worklist import deliveries
from ichnode.worklist.deliveries import Delivery

_SR_CLASS = {
    "comprehensive": ComprehensiveSRStorage,
    "comprehensive-3d": Comprehensive3DSRStorage,
    "enhanced": EnhancedSRStorage,
}


def deliver_due(node: Node, destination: DestinationSection) -> datetime | None:
    """Send everything that is due to a destination; see `empty`. It is asked by C-ECHO, or a query over the web.

    Returns
    -------
    datetime or None
        When to look again; None when nothing waits.
    """
    remote = remote_of(destination, node.settings.node.aet, node.settings.delivery.timeout_s, node.settings.tls)

    def send(claimed: Sequence[Delivery]) -> list[Answer]:
        by_path = {node.spool.path(d.file): d for d in claimed}
        said = give(remote, list(by_path), None, _alternatives(node, destination, by_path), node.draining.is_set)
        return [Answer(by_path[one.path], one.status, one.error, one.transient) for one in said]

    return empty(node, Outlet(destination.name, partial(ask_whether_there, remote), send))


def _alternatives(node: Node, destination: DestinationSection, by_path: Mapping[Path, Delivery]) -> Alternatives:
    """Let the peer choose among the SOP Classes of each object; what it chooses is recorded before it is sent."""

    def recast_to(path: Path, sop_class: str) -> Path:
        content = recast(path.read_bytes(), sop_class)
        file = node.spool.put_report(content, digest_of(content))
        instance = recast_uid(by_path[path].sop_instance_uid, sop_class)
        with node.worklist.write() as tx:
            deliveries.recast(tx, node.now(), by_path[path], sop_class, instance, file, len(content))
        return node.spool.path(file)

    return Alternatives({path: _liked_classes(d.kind, destination) for path, d in by_path.items()}, recast_to)


def _liked_classes(kind: str, destination: DestinationSection) -> Sequence[str]:
    """Return the SOP Classes that can carry a format, the one that the destination likes best first."""
    possible = FORMATS[kind].sop_classes if kind in FORMATS else ()
    liked = _SR_CLASS[destination.sr_class] if kind == "sr" else None
    return sorted(possible, key=lambda sop_class: sop_class != liked)
