"""The shadow's process: a second model beside the active one, on what is left of the machine.

Started by the daemon as ``python -m ichnode.shadow``. A process of its own, on the CPU, with one thread and the lowest
priority: it can neither delay an answer, nor take the worker down with it, nor take memory of its device. The first
line on standard input is JSON (settings, boot); the end of the input means that the node is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading

from ichnode.config import Settings
from ichnode.errors import IchnodeError
from ichnode.log import configure, get_logger

IDLE_S = 1.0
THREADS = 1
log = get_logger(__name__)


def main() -> int:
    """Run until there is no shadow any more; the exit code is 2 when its model cannot be used."""
    os.nice(19)
    task = json.loads(sys.stdin.readline())
    settings = Settings.model_validate(task["settings"])
    configure(settings.log.level, settings.log.format)
    threading.Thread(target=_listen, daemon=True).start()
    try:
        _work(settings, task["boot"])
    except IchnodeError as error:
        log.error("shadow.cannot_work", code=error.code, remedy=error.sentence)
        return 2
    return 0


def _work(settings: Settings, boot_id: str) -> None:
    from ichnode.steps.load import load_engine
    from ichnode.steps.node import open_node
    from ichnode.steps.shadow import shadow_next
    from ichnode.worklist import models, shadows

    node = open_node(settings, boot_id)
    with node.worklist.write() as tx:
        shadows.give_up_unfinished(tx, node.now())
    engine = None
    idle = threading.Event()
    while True:
        with node.worklist.read() as tx:
            row = models.shadowing(tx)
        if row is None:
            return
        if engine is None or engine.bundle.digest != row.digest:
            engine = load_engine(settings, node.models.path(row.digest), "cpu", THREADS)
            log.info("shadow.ready", model=engine.bundle.name, digest=engine.bundle.digest[:12])
        if not shadow_next(node, engine):
            idle.wait(IDLE_S)


def _listen() -> None:
    for _ in sys.stdin:
        pass
    os._exit(0)  # the node is gone; what is half done is given up by the next one


if __name__ == "__main__":
    sys.exit(main())
