"""Shadow: read a series that has been answered with the model that runs beside the active one, and keep what it says.

Nothing leads from here to a report or a destination: no report is built, no result is written, no delivery is queued.
"""

from __future__ import annotations

from ichnode.errors import IchnodeError
from ichnode.inference.engine import Engine
from ichnode.log import get_logger
from ichnode.steps.assemble import look_at
from ichnode.steps.interpret import interpret
from ichnode.steps.node import Node
from ichnode.worklist import models, shadows

log = get_logger(__name__)


def shadow_next(node: Node, engine: Engine) -> bool:
    """Read one answered series; False when there is none.

    Parameters
    ----------
    engine : Engine
        With the bundle of the shadow.
    """
    with node.worklist.write() as tx:
        row = models.shadowing(tx)
        if row is None or row.shadowed_at is None or row.digest != engine.bundle.digest:
            return False
        task = shadows.claim(tx, node.now(), row.digest, row.shadowed_at)
    if task is None:
        return False
    try:
        look = look_at(tuple(filed.slice for filed in task.filed), node.selection)
        read = interpret(engine, look, [node.spool.path(filed.file) for filed in task.filed])
    except (IchnodeError, OSError, RuntimeError, ValueError) as error:  # the others: of files, of torch, of numpy
        sentence = error.sentence if isinstance(error, IchnodeError) else f"An unexpected {type(error).__name__}."
        with node.worklist.write() as tx:
            shadows.fail(tx, node.now(), task, sentence)
        return True
    with node.worklist.write() as tx:
        shadows.finish(tx, node.now(), task, read.outcome, read.seconds)
    log.info("shadow.read", series=task.series_id)
    return True
