"""The registry of models: candidate, shadow, active, retired, rejected. One function a transition, one journal row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ichnode.core.lifecycle import MODEL, IllegalTransition, ModelState, advance, target
from ichnode.errors import PermanentError
from ichnode.worklist import model_tables
from ichnode.worklist.database import note

_M = model_tables.models
_NONE = {
    "active": "No model is active yet: the node settles that when it starts.",
    "shadow": "No model runs beside the active one: `ichnode model shadow DIGEST` lets a candidate.",
}
_DONE = {"promote": "promoted", "shadow": "let run as a shadow", "reject": "rejected", "rollback": "rolled back to"}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model as the registry knows it; its bundle lies in the data folder under its digest.

    Attributes
    ----------
    origin : str
        ``shipped``, ``configuration``, ``import`` or ``retrain``.
    pinned : bool
        Named in the configuration, so that nothing else can be active.
    judgement : dict or None
        What the gate found: ``passed`` and ``checks``; None when it never ran.
    forced_because : str or None
        Why it was promoted although the gate had not let it through.
    """

    digest: str
    name: str
    version: str
    state: str
    origin: str
    pinned: bool
    registered_at: datetime
    shadowed_at: datetime | None
    activated_at: datetime | None
    retired_at: datetime | None
    judgement: dict[str, Any] | None
    judged_at: datetime | None
    forced_because: str | None
    rejected_because: str | None


def register(tx: Connection, now: datetime, digest: str, name: str, version: str, origin: str) -> bool:
    """Enter a model as a candidate; False when it is there already, whatever became of it."""
    if tx.scalar(select(_M.c.digest).where(_M.c.digest == digest)) is not None:
        return False
    tx.execute(
        insert(_M).values(
            digest=digest, name=name, version=version, state=ModelState.CANDIDATE, origin=origin, pinned=False,
            registered_at=now,
        )
    )  # fmt: skip
    _note(tx, now, "registered", digest, origin=origin)
    return True


def install(tx: Connection, now: datetime, digest: str, *, pinned: bool) -> None:
    """Make a registered model active because the configuration names it (`pinned`), or because it ships."""
    row = model(tx, digest)
    if row.state == ModelState.ACTIVE and row.pinned == pinned:
        return
    if row.state != ModelState.ACTIVE:
        _retire_active(tx, now)
        _move(tx, row, "install", activated_at=now, retired_at=None, pinned=pinned)
    else:
        tx.execute(update(_M).where(_M.c.digest == digest).values(pinned=pinned))
    _note(tx, now, "installed", digest, pinned=pinned)


def unpin(tx: Connection, now: datetime) -> None:
    """Let the registry decide again: the configuration names no model any more. The active one stays active."""
    row = active(tx)
    if row is not None and row.pinned:
        tx.execute(update(_M).where(_M.c.digest == row.digest).values(pinned=False))
        _note(tx, now, "unpinned", row.digest)


def promote(tx: Connection, now: datetime, digest: str, forced_because: str | None = None) -> None:
    """Make a candidate or shadow active; the one before it is retired.

    Raises
    ------
    PermanentError
        It is in another state, or the configuration pins the active one.
    """
    _check_unpinned(tx)
    row = model(tx, digest)
    check_legal(row, "promote")
    replaced = _retire_active(tx, now)
    _move(tx, row, "promote", activated_at=now, forced_because=forced_because)
    _note(tx, now, "promoted", digest, instead_of=replaced, forced_because=forced_because)


def rollback(tx: Connection, now: datetime) -> tuple[str, str]:
    """Make the model active again that was active last before this one.

    Returns
    -------
    (digest that is retired, digest that is active)

    Raises
    ------
    PermanentError
        There is none, or the configuration pins the active one.
    """
    _check_unpinned(tx)
    before = tx.execute(
        select(_M).where(_M.c.state == ModelState.RETIRED).order_by(_M.c.retired_at.desc()).limit(1)
    ).first()
    if before is None:
        raise PermanentError("No model was active before this one: there is nothing to roll back to.", "NO_EARLIER")
    row = ModelRow(*before)
    replaced = _retire_active(tx, now)
    _move(tx, row, "rollback", activated_at=now, retired_at=None)
    _note(tx, now, "rolled_back", row.digest, instead_of=replaced)
    return replaced or "", row.digest


def shadow(tx: Connection, now: datetime, digest: str) -> None:
    """Let a candidate run beside the active model; another shadow is a candidate again."""
    row = model(tx, digest)
    check_legal(row, "shadow")
    end_shadow(tx, now)
    _move(tx, row, "shadow", shadowed_at=now)
    _note(tx, now, "shadowed", digest)


def end_shadow(tx: Connection, now: datetime) -> str | None:
    """Let nothing run beside the active model; return the digest of what did."""
    row = shadowing(tx)
    if row is None:
        return None
    _move(tx, row, "end_shadow")
    _note(tx, now, "shadow_ended", row.digest)
    return row.digest


def reject(tx: Connection, now: datetime, digest: str, because: str) -> None:
    """Put a candidate or shadow aside for good, with the reason."""
    row = model(tx, digest)
    check_legal(row, "reject")
    _move(tx, row, "reject", rejected_because=because)
    _note(tx, now, "rejected", digest, because=because)


def record_judgement(tx: Connection, now: datetime, digest: str, judgement: dict[str, Any]) -> None:
    """Keep what the gate found; a later judgement takes its place, and the journal keeps both."""
    tx.execute(update(_M).where(_M.c.digest == digest).values(judgement=judgement, judged_at=now))
    failed = [check["name"] for check in judgement["checks"] if not check["passed"]]
    _note(tx, now, "judged", digest, passed=judgement["passed"], failed=failed, against=judgement["against"])


def is_outdated(tx: Connection, digest: str) -> bool:
    """Tell whether another model than this one is active."""
    now = active(tx)
    return now is not None and now.digest != digest


def active(tx: Connection) -> ModelRow | None:
    """Return the model whose answers are sent."""
    return _only(tx, ModelState.ACTIVE)


def shadowing(tx: Connection) -> ModelRow | None:
    """Return the model that runs beside the active one."""
    return _only(tx, ModelState.SHADOW)


def registered(tx: Connection) -> list[ModelRow]:
    """Return all models, the active one first, then the latest."""
    rows = tx.execute(select(_M).order_by(_M.c.registered_at.desc(), _M.c.digest)).all()
    return sorted((ModelRow(*row) for row in rows), key=lambda row: row.state != ModelState.ACTIVE)


def model(tx: Connection, text: str) -> ModelRow:
    """Return the one model whose digest begins with `text`; ``active`` and ``shadow`` name those.

    Raises
    ------
    PermanentError
        There is none, or more than one.
    """
    by_state = {"active": ModelState.ACTIVE, "shadow": ModelState.SHADOW}
    wanted = _M.c.state == by_state[text] if text in by_state else _M.c.digest.startswith(text.lower(), autoescape=True)
    found = tx.execute(select(_M).where(wanted).limit(2)).all() if text else []
    if len(found) > 1:
        raise PermanentError(f"More than one model begins with {text}: give more of its digest.", "MODEL_AMBIGUOUS")
    if not found and text in by_state:
        raise PermanentError(_NONE[text], "MODEL_UNKNOWN")
    if not found:
        raise PermanentError(f"There is no model {text!r}: `ichnode model list` has them.", "MODEL_UNKNOWN")
    return ModelRow(*found[0])


def _only(tx: Connection, state: ModelState) -> ModelRow | None:
    row = tx.execute(select(_M).where(_M.c.state == state)).first()
    return None if row is None else ModelRow(*row)


def _check_unpinned(tx: Connection) -> None:
    row = active(tx)
    if row is not None and row.pinned:
        raise PermanentError(
            "The configuration names the model (engine.bundle), and so nothing else can be active: "
            "delete that setting, start the node again, and then promote or roll back.",
            "MODEL_PINNED",
        )


def check_legal(row: ModelRow, event: str) -> None:
    """Refuse what cannot be done with a model in its state.

    Raises
    ------
    PermanentError
        ``MODEL_STATE``, with the states in which it can.
    """
    try:
        advance(MODEL, row.state, event)
    except IllegalTransition:
        states = " or ".join(state for state, known in MODEL if known == event)
        raise PermanentError(
            f"The model {row.digest[:12]} is {row.state}: {_DONE[event]} is only what is {states}.", "MODEL_STATE"
        ) from None


def _retire_active(tx: Connection, now: datetime) -> str | None:
    row = active(tx)
    if row is None:
        return None
    _move(tx, row, "retire", retired_at=now, pinned=False)
    return row.digest


def _move(tx: Connection, row: ModelRow, event: str, **values: Any) -> None:
    tx.execute(
        update(_M)
        .where(_M.c.digest == row.digest, _M.c.state == row.state)
        .values(state=target(MODEL, event), **values)
    )


def _note(tx: Connection, now: datetime, event: str, digest: str, **detail: Any) -> None:
    note(tx, now, f"model.{event}", None, None, model=digest[:12], **detail)
