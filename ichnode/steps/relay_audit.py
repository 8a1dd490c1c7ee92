"""Relay: send the audit journal on to the hospital's audit record repository, row by row, none left out."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ichnode.core.retry import backoff_s
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.log import get_logger
from ichnode.notify.atna import Concerned, Entry, audit_message
from ichnode.notify.syslog import send_syslog, syslog_message
from ichnode.steps.node import Node
from ichnode.steps.report import installation_id
from ichnode.worklist import deliveries, relays
from ichnode.worklist.relays import ATNA

AT_ONCE = 100
FIRST_S, LONGEST_S = 5.0, 300.0
log = get_logger(__name__)


def relay_audit(node: Node) -> datetime | None:
    """Send what has been written since the last time; after a failure all of it again, less and less often.

    Returns
    -------
    datetime or None
        When to look again after a failure.
    """
    section = node.settings.audit
    with node.worklist.read() as tx:
        circuit = deliveries.circuit(tx, ATNA)
    if circuit.open_until is not None and node.now() < circuit.open_until:
        return circuit.open_until
    files = section.ca_file, section.client_certificate, section.client_key
    while not node.draining.is_set():
        with node.worklist.read() as tx:
            rows = relays.next_rows(tx, ATNA, AT_ONCE)
            people = relays.concerned(tx, {key for row in rows for key in _studies(row)})
        if not rows:
            return None
        messages = [_message(node, row, people) for row in rows]
        try:
            send_syslog(messages, section.host, section.port, files, node.settings.delivery.timeout_s)
        except (PeerUnreachable, PeerRefused) as error:
            delay_s = backoff_s(circuit.failures + 1, FIRST_S, LONGEST_S)
            with node.worklist.write() as tx:
                deliveries.break_circuit(tx, node.now(), ATNA, error.sentence, delay_s)
            log.warning("audit.not_sent", code=error.code, again_in_s=delay_s, remedy=error.sentence)
            return node.now() + timedelta(seconds=delay_s)
        with node.worklist.write() as tx:
            relays.sent(tx, ATNA, rows[-1]["id"])
            deliveries.close_circuit(tx, node.now(), ATNA)
    return None


def _message(node: Node, row: dict[str, Any], people: dict[int, tuple[str, str]]) -> bytes:
    section, aet = node.settings.audit, node.settings.node.aet
    named = [people[key] for key in _studies(row) if key in people] if section.patient_data else []
    entry = Entry(row["at"], row["who"], row["address"], row["what"], [Concerned(*one) for one in named])
    source = f"{aet}@{installation_id(node.settings.node.data.resolve())[:8]}"
    content = audit_message(entry, aet, source, section.site)
    return syslog_message(
        row["at"], content, host=socket.gethostname(), program="ichnode", process=os.getpid(), kind="DICOM+RFC3881"
    )


def _studies(row: dict[str, Any]) -> Sequence[int]:
    listed = row["detail"].get("studies", [])
    of_row = [] if row["study_id"] is None else [row["study_id"]]
    return [*of_row, *(key for key in listed if isinstance(key, int))]
