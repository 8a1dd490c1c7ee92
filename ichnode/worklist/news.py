"""What is new since somebody looked last."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from ichnode.core.findings import Verdict
from ichnode.core.triage import READ
from ichnode.worklist import schema
from ichnode.worklist.standing_table import standings

_W, _S, _R = standings, schema.series, schema.results
MOST = 50


def latest(tx: Connection) -> tuple[int, list[tuple[int, int]]]:
    """Return (number of the last change, (study, its positive answer) of the unread positive studies).

    Of many the ones that were answered last: who chose by urgency would hear of none that is less urgent than so many
    others. The number of an answer tells one that has just come from an old one that moved up.
    """
    number = tx.scalar(select(func.max(schema.journal.c.id))) or 0
    newest = (
        select(_W.c.study_id)
        .where(_W.c.status == "positive", _W.c.rank < READ)
        .order_by(_W.c.answered_at.desc(), _W.c.study_id.desc())
        .limit(MOST)
    )
    answers = (
        select(_S.c.study_id, func.max(_R.c.id).label("answer"))
        .join(_R, _R.c.series_id == _S.c.id)
        .where(
            _S.c.study_id.in_(list(tx.scalars(newest))),
            _R.c.verdict == Verdict.POSITIVE,
            _R.c.superseded_at.is_(None),
            _R.c.retraction.is_(None),
        )
        .group_by(_S.c.study_id)
        .order_by(func.max(_R.c.id).desc())
    )
    return number, [(study, answer) for study, answer in tx.execute(answers)]
