"""Notices: what channels are told of a study, decided from rows and filed with their deliveries in one transaction.

A transition that may change the call on a study marks the study (`look_again`); `announce` decides from what stands
then. So nothing is told twice or forgotten, whatever died in between, and results do not know who is told of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from ichnode.core.alerts import Call, Called, Ladder, Rule, Say, Site, Told, is_wanted, what_to_say
from ichnode.core.lifecycle import DELIVERY, DeliveryState, sources, target
from ichnode.core.triage import URGENCY
from ichnode.worklist import schema
from ichnode.worklist.calls import Standing, standing
from ichnode.worklist.database import new_key, note

_N, _D, _ST = schema.notices, schema.deliveries, schema.studies
OPEN_S = 2.0
"""How soon to look again at a study whose call is not settled yet."""
ESCALATION = "escalation"


@dataclass(frozen=True, slots=True)
class Filed:
    """A notice that was written down."""

    study_id: int
    channel: str
    kind: str
    called: str


def look_again(tx: Connection, now: datetime, study_id: int) -> None:
    """Mark a study whose call may have changed."""
    tx.execute(update(_ST).where(_ST.c.id == study_id).values(notices_due_at=now))


def next_look_at(tx: Connection) -> datetime | None:
    """Return when a study has to be looked at next, or something unread escalates; None when nothing waits."""
    found = [tx.scalar(select(func.min(column))) for column in (_ST.c.notices_due_at, _N.c.escalate_at)]
    times = [datetime.fromisoformat(at) if isinstance(at, str) else at for at in found if at is not None]
    return min(times, default=None)


def announce(
    tx: Connection, now: datetime, rules: Mapping[str, Rule], ladders: Mapping[str, Ladder]
) -> list[Filed] | None:
    """Look at the study that has been due longest, and file what its call makes of each channel's rule.

    Parameters
    ----------
    rules, ladders : mapping of channel to what is configured for it

    Returns
    -------
    list of Filed or None
        None when no study is due.
    """
    study = tx.execute(
        select(_ST).where(_ST.c.notices_due_at <= now).order_by(_ST.c.notices_due_at).limit(1).with_for_update()
    ).first()
    if study is None:
        return None
    stands, is_open = standing(tx, study.id)
    # What is bleeding is told at once. Anything else may still turn into it while slices or analyses are on their way.
    waits = is_open and (stands is None or stands.call.called not in (Called.POSITIVE, Called.RETRACTED))
    again_at = now + timedelta(seconds=OPEN_S) if waits else None
    tx.execute(update(_ST).where(_ST.c.id == study.id).values(notices_due_at=again_at))
    if waits or stands is None or study.ordered_at is not None:  # nobody waits for what was fetched from the archive
        return []
    site = Site(_senders(tx, study.id), study.station_name, study.institution or "")
    found = (_tell(tx, now, study.id, name, rule, stands, site, ladders.get(name)) for name, rule in rules.items())
    return [filed for filed in found if filed is not None]


def escalate(tx: Connection, now: datetime, ladders: Mapping[str, Ladder]) -> list[Filed] | None:
    """File the next step of the alert whose escalation has been due longest, if its study is still unread.

    Returns
    -------
    list of Filed or None
        None when nothing is due.
    """
    alert = tx.execute(
        select(_N, _ST.c.read_at)
        .join(_ST, _ST.c.id == _N.c.study_id)
        .where(_N.c.escalate_at <= now)
        .order_by(_N.c.escalate_at, _N.c.id)
        .limit(1)
        .with_for_update()
    ).first()
    if alert is None:
        return None
    ladder = ladders.get(alert.channel, Ladder())
    done = tx.scalar(select(func.count()).where(_N.c.escalates_id == alert.id)) or 0
    unread = alert.read_at is None and ladder.due_at(alert.created_at, done) is not None
    again_at = ladder.due_at(alert.created_at, done + 1) if unread else None
    tx.execute(update(_N).where(_N.c.id == alert.id).values(escalate_at=again_at))
    if not unread:
        note(tx, now, "notice.not_escalated", alert.study_id, None, channel=alert.channel)
        return []
    made_final = (
        select(_N)
        .where(_N.c.study_id == alert.study_id, _N.c.corrects_id == alert.id, _N.c.kind == Say.FINAL)
        .order_by(_N.c.id.desc())
    )
    stands = tx.execute(made_final).first() or alert
    return [
        _file(
            tx, now, alert.study_id, stands.result_id, ladder.steps[done][1], ESCALATION, _call(stands), True,
            escalates_id=alert.id, step=done + 1,
        )
    ]  # fmt: skip


def is_read(tx: Connection, now: datetime, study_id: int) -> None:
    """Somebody signed the study off: nothing escalates any more, and what says that nobody did is not sent."""
    of_study = _N.c.study_id == study_id
    tx.execute(update(_N).where(of_study, _N.c.escalate_at.is_not(None)).values(escalate_at=None))
    for channel in tx.scalars(select(_N.c.channel).where(of_study, _N.c.kind == ESCALATION).distinct()).all():
        _withdraw(tx, now, study_id, channel, _N.c.kind == ESCALATION)


def _tell(
    tx: Connection, now: datetime, study_id: int, channel: str, rule: Rule, stands: Standing, site: Site,
    ladder: Ladder | None,
) -> Filed | None:  # fmt: skip
    """File what a channel has to hear; what it has not heard yet and is no longer true is withdrawn."""
    at = stands.made_at.astimezone()
    heard: Row[Any] | None = None
    for last in _thread(tx, study_id, channel):
        say = what_to_say(rule, stands.call, site, at, Told(_call(last), last.wanted))
        is_new = say not in (None, Say.FINAL)
        if not is_new and last.kind == ESCALATION and (say or last.state == DeliveryState.WITHDRAWN):
            continue  # what was said before it counts: it repeats that, or was signed off before it was sent
        if not is_new and last.state == DeliveryState.WITHDRAWN:
            # It may have arrived or not, nor is it known what the channel holds: say it again.
            alarms = stands.call.called is Called.POSITIVE and is_wanted(rule, stands.call)
            say = Say.ALERT if alarms else Say.CORRECTION
        if say is None:
            return None
        if say is Say.FINAL and last.attempts:
            return _complete(tx, now, study_id, channel, stands, last)
        _end_escalation(tx, study_id, channel)
        if last.attempts:
            heard = last
            _withdraw(tx, now, study_id, channel)
            break
        _withdraw(tx, now, study_id, channel, _N.c.id == last.id)
    else:
        say = what_to_say(rule, stands.call, site, at, None)
    if say is None:
        return None
    wanted = is_wanted(rule, stands.call)
    bleeds = wanted and stands.call.called is Called.POSITIVE
    return _file(
        tx, now, study_id, stands.result_id, channel, say, stands.call, wanted,
        corrects_id=None if heard is None else _root(tx, heard),
        escalate_at=ladder.due_at(now, 0) if ladder is not None and bleeds else None,
    )  # fmt: skip


def _complete(
    tx: Connection, now: datetime, study_id: int, channel: str, stands: Standing, preliminary: Row[Any]
) -> Filed:
    """File what makes a preliminary message final; who was alarmed by it is reminded as before."""
    _withdraw(tx, now, study_id, channel, _N.c.id == preliminary.id)
    return _file(
        tx, now, study_id, stands.result_id, channel, Say.FINAL, stands.call, preliminary.wanted,
        corrects_id=preliminary.id,
    )  # fmt: skip


def _thread(tx: Connection, study_id: int, channel: str) -> list[Row[Any]]:
    """Return what a channel was told of a study, or may have been or is going to be, the latest first."""
    unheard = (_D.c.state == DeliveryState.WITHDRAWN) & (_D.c.attempts == 0)
    return list(
        tx.execute(
            select(_N, _D.c.state, _D.c.attempts)
            .join(_D, _D.c.notice_id == _N.c.id)
            .where(_N.c.study_id == study_id, _N.c.channel == channel, ~unheard)
            .order_by(_N.c.ordinal.desc())
        )
    )


def _root(tx: Connection, last: Row[Any]) -> int:
    """Return which notice a correction names: the alert itself, where the channel was reminded of it meanwhile."""
    if last.kind == ESCALATION and tx.scalar(select(_N.c.channel).where(_N.c.id == last.escalates_id)) == last.channel:
        return int(last.escalates_id)
    return int(last.id)


def _withdraw(tx: Connection, now: datetime, study_id: int, channel: str, *which: Any) -> None:
    chosen = select(_N.c.id).where(_N.c.study_id == study_id, _N.c.channel == channel, *which)
    withdrawn = tx.execute(
        update(_D)
        .where(_D.c.notice_id.in_(chosen), _D.c.state.in_(sources(DELIVERY, "withdraw")))
        .values(state=target(DELIVERY, "withdraw"))
    ).rowcount
    if withdrawn:
        note(tx, now, "notice.withdrawn", study_id, None, channel=channel, notices=withdrawn)


def _end_escalation(tx: Connection, study_id: int, channel: str) -> None:
    tx.execute(update(_N).where(_N.c.study_id == study_id, _N.c.channel == channel).values(escalate_at=None))


def _file(
    tx: Connection, now: datetime, study_id: int, result_id: int, channel: str, kind: str, call: Call, wanted: bool,
    **more: Any,
) -> Filed:  # fmt: skip
    told = select(func.max(_N.c.ordinal)).where(_N.c.study_id == study_id, _N.c.channel == channel)
    notice_id = new_key(tx, insert(_N).values(
        uid=uuid.uuid4().hex[:20], study_id=study_id, result_id=result_id, channel=channel,
        ordinal=1 + (tx.scalar(told) or 0), kind=str(kind), called=str(call.called), scores=dict(call.scores),
        present=sorted(call.present), wanted=wanted, created_at=now,
        preliminary=call.preliminary and more.get("corrects_id") is None, **more,
    ))  # fmt: skip
    urgency = (
        call.urgency if kind in (Say.ALERT, Say.FINAL) else URGENCY["positive"]
    )  # what was wrong is as urgent as what bleeds
    tx.execute(insert(_D).values(
        notice_id=notice_id, destination=channel, state=DeliveryState.PENDING, urgency=urgency, attempts=0,
        not_before=now, created_at=now, retry_since=now,
    ))  # fmt: skip
    note(tx, now, "notice.filed", study_id, None, channel=channel, kind=str(kind), call=str(call.called))
    return Filed(study_id, channel, str(kind), str(call.called))


def _call(row: Row[Any]) -> Call:
    return Call(Called(row.called), row.scores, frozenset(row.present), preliminary=bool(row.preliminary))


def _senders(tx: Connection, study_id: int) -> tuple[str, ...]:
    """Return the AE titles that sent slices of a study."""
    i, a, s = schema.instances, schema.associations, schema.series
    found = tx.scalars(
        select(a.c.calling_aet)
        .distinct()
        .select_from(s.join(i, i.c.series_id == s.c.id).join(a, a.c.id == i.c.association_id))
        .where(s.c.study_id == study_id)
    )
    return tuple(sorted(found))
