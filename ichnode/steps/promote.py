"""Promote: what the gate let through becomes active; or back to the model before. The worker follows between jobs."""

from __future__ import annotations

from typing import Any

from ichnode.errors import BundleError, PermanentError
from ichnode.inference.bundle import load_bundle
from ichnode.steps.node import Node
from ichnode.worklist import audit, models
from ichnode.worklist.models import ModelRow


def promote(node: Node, text: str, by: audit.Actor, force_because: str | None = None) -> ModelRow:
    """Make the model that `text` names active.

    Parameters
    ----------
    force_because : str or None
        Why it is to be active although the gate failed or never ran; kept in registry and journal. Where the gate
        passed there is nothing to force, and it is not kept.

    Raises
    ------
    PermanentError
        The gate does not let it through, or its bundle cannot be used.
    """
    with node.worklist.read() as tx:
        row, active = models.model(tx, text), models.active(tx)
    models.check_legal(row, "promote")
    check_whole(node, row.digest)
    objection = _objection(row, active)
    if objection is not None and not force_because:
        raise PermanentError(f'{objection} To promote it all the same, give the reason: --force --because "…".', "GATE")
    with node.worklist.write() as tx:
        forced = force_because if objection is not None else None
        models.promote(tx, node.now(), row.digest, forced)
        more: dict[str, Any] = {"forced_because": forced} if forced else {}
        audit.record(tx, node.now(), by.name, "model.promoted", address=by.address, model=row.digest, **more)
        return models.model(tx, row.digest)


def rollback(node: Node, by: audit.Actor) -> ModelRow:
    """Make the model active that was active before this one.

    Raises
    ------
    PermanentError
        There is none, or its bundle cannot be used.
    """
    with node.worklist.write() as tx:
        _, digest = models.rollback(tx, node.now())
        check_whole(node, digest)  # an error here takes the transaction back
        audit.record(tx, node.now(), by.name, "model.rolled_back", address=by.address, model=digest)
        return models.model(tx, digest)


def check_whole(node: Node, digest: str) -> None:
    """Refuse a model whose files in the data folder are gone or altered.

    Raises
    ------
    BundleError
        With what brings them back.
    """
    try:
        load_bundle(node.models.path(digest))
    except BundleError as error:
        remedy = "Import the same bundle again (ichnode model import FOLDER), or take these two files from a backup."
        raise BundleError(f"{error.sentence} {remedy}", error.code) from error


def _objection(row: ModelRow, active: ModelRow | None) -> str | None:
    if row.judgement is None:
        return f"The model {row.digest[:12]} was never judged: `ichnode model judge {row.digest[:12]}`."
    if active is not None and row.judgement["against"] != active.digest:
        return (
            f"The model {row.digest[:12]} was judged against another model than the one that is active now: "
            f"`ichnode model judge {row.digest[:12]}` again."
        )
    failed = [check["sentence"] for check in row.judgement["checks"] if not check["passed"]]
    return f"The gate does not let the model {row.digest[:12]} through. {' '.join(failed)}" if failed else None
