"""One DICOM object that says a result, or takes one back, and who is to get it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert

from ichnode.core.lifecycle import DeliveryState
from ichnode.worklist import schema
from ichnode.worklist.database import new_key

REJECTION = "rejection"
"""Kind of a rejection note, which is not one of the formats of an answer and outlives the answer that it rejects."""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One DICOM object; its kind is the name of a format, or ``rejection``."""

    kind: str
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    file: str
    size: int


def file_report(
    tx: Connection, now: datetime, result_id: int, report: ReportRow, urgency: int, destinations: Sequence[str]
) -> None:
    """Write the row of an object that lies in the spool, and one delivery for each destination."""
    report_id = new_key(tx, insert(schema.reports).values(result_id=result_id, **asdict(report)))
    for destination in destinations:
        tx.execute(
            insert(schema.deliveries).values(
                report_id=report_id, destination=destination, state=DeliveryState.PENDING, urgency=urgency,
                attempts=0, not_before=now, created_at=now, retry_since=now,
            )
        )  # fmt: skip
