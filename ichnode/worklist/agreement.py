"""How often readers agree: verdicts and single classes, month by month and model by model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, and_, case, exists, func, literal, not_, select

from ichnode.core.findings import Verdict
from ichnode.worklist import schema

_F, _L, _R = schema.feedback, schema.feedback_labels, schema.results
_MONTH = func.substr(_R.c.created_at, 1, 7, type_=String)
_MODEL = func.coalesce(_R.c.model_digest, "")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What readers said of the calls that one model made in one month.

    Attributes
    ----------
    month : str
        ``2026-01``, in which the results were made, by UTC.
    model_digest : str
    name : str
        ``verdict``, or the class that was judged for the whole scan.
    positives, negatives : int
        Calls that were judged.
    confirmed_positives, confirmed_negatives : int
        Calls that the reader agreed with.
    model_name, model_version : str
        Empty where they are not known.
    """

    month: str
    model_digest: str
    name: str
    positives: int
    confirmed_positives: int
    negatives: int
    confirmed_negatives: int
    model_name: str = ""
    model_version: str = ""

    @property
    def agreement(self) -> float | None:
        """Share of calls that were right by the readers."""
        return _share(self.confirmed_positives + self.confirmed_negatives, self.positives + self.negatives)

    @property
    def ppv(self) -> float | None:
        """Positive predictive value among what was judged; None without a judged positive."""
        return _share(self.confirmed_positives, self.positives)

    @property
    def npv(self) -> float | None:
        """Negative predictive value among what was judged; None without a judged negative."""
        return _share(self.confirmed_negatives, self.negatives)


def by_month(tx: Connection) -> list[Agreement]:
    """Return agreement with the verdict and, where they were judged, with single classes; the oldest month first.

    Of several readers of a result the last word counts. What nobody judged is in none of the figures: they say how the
    judged calls fare, and readers judge what strikes them.
    """
    called = _R.c.verdict == Verdict.POSITIVE
    of_verdicts = (
        _counted(literal("verdict"), called, _F.c.agrees)
        .select_from(_F.join(_R))
        .where(_R.c.verdict.in_((Verdict.POSITIVE, Verdict.NEGATIVE)))
    )
    of_classes = (
        _counted(_L.c.name, _L.c.called, _L.c.called == _L.c.present)
        .select_from(_F.join(_R).join(_L))
        .where(_L.c.called.is_not(None), _L.c.sop_instance_uid.is_(None))
    )
    found = [Agreement(*row) for query in (of_verdicts, of_classes) for row in tx.execute(query)]
    return sorted(found, key=lambda one: (one.month, one.model_digest, one.name != "verdict", one.name))


def _counted(
    name: ColumnElement[str], called: ColumnElement[bool], right: ColumnElement[bool]
) -> Select[*tuple[Any, ...]]:
    later = _F.alias("later")
    last_word = ~exists().where(
        later.c.result_id == _F.c.result_id, later.c.superseded_at.is_(None), later.c.id > _F.c.id
    )
    cases = (called, and_(called, right), not_(called), and_(not_(called), right))
    counts = [func.sum(case((condition, 1), else_=0)) for condition in cases]
    keys = (_MONTH.label("month"), _MODEL.label("model"), name.label("name"))
    named = [func.coalesce(func.max(column), "") for column in (_R.c.model_name, _R.c.model_version)]
    return (
        select(*keys, *counts, *named).where(_F.c.superseded_at.is_(None), last_word).group_by("month", "model", "name")
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
