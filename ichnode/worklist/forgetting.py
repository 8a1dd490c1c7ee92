"""Forgetting: the last of a study. Its rows go, results and patient included; the journals, which name nobody, stay."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, exists, func, select, update

from ichnode.core.lifecycle import DeliveryState, OrderState, SeriesState, WorkitemState
from ichnode.worklist import model_tables, retrieval_tables, schema, upkeep_tables, workitem_tables
from ichnode.worklist.database import note
from ichnode.worklist.standing_table import standings

_S, _ST, _R, _P, _D, _N, _X, _Q, _A, _W = (
    schema.series, schema.studies, schema.results, schema.reports, schema.deliveries, schema.notices,
    upkeep_tables.removals, retrieval_tables.orders, workitem_tables.inputs, workitem_tables.workitems,
)  # fmt: skip


def forgettable(tx: Connection, quiet_since: datetime, most: int = 100, *, only: int | None = None) -> list[int]:
    """Return studies of which nothing is left to unlink or to send, and nothing has come since.

    The newest study and that with the newest series stay: a database may give the numbers of rows that are gone to new
    ones, and the journals name studies and series by number.

    Parameters
    ----------
    only : int or None
        Look at this study alone.
    """
    at_work = (WorkitemState.OFFERED, WorkitemState.CLAIMED, WorkitemState.WORKING)
    unsent = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.FAILED, DeliveryState.AWAITING)
    of_study = _S.c.study_id == _ST.c.id
    newest = select(_S.c.study_id).where(_S.c.id == select(func.max(_S.c.id)).scalar_subquery()).scalar_subquery()
    found = (
        select(_ST.c.id)
        .where(
            _ST.c.id != select(func.max(_ST.c.id)).scalar_subquery(),
            _ST.c.id != newest,
            exists().where(of_study),
            ~exists().where(of_study, _S.c.state != SeriesState.PURGED),
            ~exists().where(of_study, _S.c.last_slice_at > quiet_since),
            ~select(_R.c.id).select_from(_R.join(_S)).where(of_study, _R.c.created_at > quiet_since).exists(),
            ~select(_X.c.file).join(_S, _S.c.id == _X.c.series_id).where(of_study).exists(),
            _ST.c.notices_due_at.is_(None),
            ~exists().where(_Q.c.study_id == _ST.c.id, _Q.c.state == OrderState.OPEN),
            ~select(_A.c.id)
            .join(_W)
            .where(_A.c.study_instance_uid == _ST.c.study_instance_uid, _W.c.state.in_(at_work))
            .exists(),
            ~exists().where(_N.c.study_id == _ST.c.id, _N.c.escalate_at.is_not(None)),
            ~select(_D.c.id).select_from(_D.join(_N)).where(_N.c.study_id == _ST.c.id, _D.c.state.in_(unsent)).exists(),
            ~select(_D.c.id)
            .select_from(_D.join(_P).join(_R, _R.c.id == _P.c.result_id).join(_S, _S.c.id == _R.c.series_id))
            .where(of_study, _D.c.state.in_(unsent))
            .exists(),
        )
        .order_by(_ST.c.id)
        .limit(most)
    )
    return list(tx.scalars(found if only is None else found.where(_ST.c.id == only)))


def forget(tx: Connection, now: datetime, study_id: int) -> None:
    """Remove all rows of a study, each before the one it refers to."""
    said, labels, jobs, taken = schema.feedback, schema.feedback_labels, schema.jobs, schema.instances
    series = select(_S.c.id).where(_S.c.study_id == study_id)
    results = select(_R.c.id).where(_R.c.series_id.in_(series))
    reports = select(_P.c.id).where(_P.c.result_id.in_(results))
    notices = select(_N.c.id).where(_N.c.study_id == study_id)
    shadow, fetched, orders = model_tables.shadow_results, retrieval_tables.retrievals, retrieval_tables.orders
    asked = workitem_tables.inputs
    uid = select(_ST.c.study_instance_uid).where(_ST.c.id == study_id).scalar_subquery()
    tx.execute(update(orders).where(orders.c.study_id == study_id).values(study_id=None))
    for statement in (
        delete(labels).where(labels.c.feedback_id.in_(select(said.c.id).where(said.c.result_id.in_(results)))),
        delete(said).where(said.c.result_id.in_(results)),
        delete(shadow).where(shadow.c.result_id.in_(results)),
        delete(_D).where(_D.c.notice_id.in_(notices)),
        delete(_N).where(_N.c.study_id == study_id),
        delete(_D).where(_D.c.report_id.in_(reports)),
        delete(_P).where(_P.c.result_id.in_(results)),
        delete(_R).where(_R.c.series_id.in_(series)),
        delete(jobs).where(jobs.c.series_id.in_(series)),
        delete(taken).where(taken.c.series_id.in_(series)),
        delete(_S).where(_S.c.study_id == study_id),
        delete(fetched).where(fetched.c.study_instance_uid == uid),
        delete(asked).where(asked.c.study_instance_uid == uid),
    ):
        tx.execute(statement)
    note(tx, now, "study.forgotten", study_id, None)
    # The row of the standings refers to the study, which goes last.
    tx.execute(delete(standings).where(standings.c.study_id == study_id))
    tx.execute(delete(_ST).where(_ST.c.id == study_id))
