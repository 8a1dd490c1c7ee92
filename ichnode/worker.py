"""The worker process: torch lives and, if it must, dies here. Started by the daemon as ``python -m ichnode.worker``.

Where the pool analyses, no torch lives here: the pool is asked from here (`ichnode.pooling`).

The first line on standard input is JSON (settings, owner); every further line is a hint that there is work, ``stop``
asks it to end, and the end of the input means that the node is gone. It says ``ready`` and ``done`` on standard output.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ichnode.config import Settings
from ichnode.errors import IchnodeError
from ichnode.log import configure, get_logger
from ichnode.pooling import Asked, work_with_pool

if TYPE_CHECKING:
    from ichnode.inference.engine import Engine

IDLE_S = 0.5
log = get_logger(__name__)


def main() -> int:
    """Run until told to stop; the exit code is 2 when the model cannot be used."""
    task = json.loads(sys.stdin.readline())
    settings = Settings.model_validate(task["settings"])
    configure(settings.log.level, settings.log.format)
    asked = Asked(threading.Event(), threading.Event())
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    try:
        if settings.engine.kind == "ray":
            work_with_pool(settings, task["owner"], asked, _say)
        else:
            _work(settings, task["owner"], asked)
    except IchnodeError as error:
        log.error("worker.cannot_work", code=error.code, remedy=error.sentence)
        return 2
    return 0


def _work(settings: Settings, owner: str, asked: Asked) -> None:
    from ichnode.steps.ahead import Ahead, lanes
    from ichnode.steps.illustrate import Readings
    from ichnode.steps.node import open_node
    from ichnode.steps.register import active_digest, settle_active
    from ichnode.steps.turn import Turns
    from ichnode.worklist.boots import worker_is

    node = open_node(settings, owner.partition("/")[0])
    with node.worklist.write() as tx:
        worker_is(tx, node.now(), node.boot_id, "loading")
    engine = _engine(settings, node.models.path(settle_active(node)))
    log.info("worker.ready", device=engine.computed_by, model=engine.bundle.name, digest=engine.bundle.digest[:12])
    with closing(Ahead(node, lanes(engine.device, os.cpu_count() or 1))) as ahead:
        computed_by, readings, turns = "", Readings(), Turns(ahead)
        _say("ready")
        while not asked.to_stop.is_set():
            digest = active_digest(node)
            if digest != engine.bundle.digest:  # promoted or rolled back: from the next series on
                engine = _engine(settings, node.models.path(digest))
                log.info("worker.model_changed", model=engine.bundle.name, digest=engine.bundle.digest[:12])
            if engine.computed_by != computed_by:  # by another model, or after its device ran out of memory
                computed_by = engine.computed_by
                with node.worklist.write() as tx:
                    worker_is(tx, node.now(), node.boot_id, "ready", computed_by)
            if turns.take(node, engine, owner, readings):
                _say("done")
            else:
                asked.to_look.wait(IDLE_S)
                asked.to_look.clear()


def _engine(settings: Settings, bundle: Path) -> Engine:
    from ichnode.steps.load import load_engine

    engine = load_engine(settings, bundle)
    engine.warm()
    return engine


def _listen(asked: Asked) -> None:
    for line in sys.stdin:
        if line.strip() == "stop":
            asked.to_stop.set()
        asked.to_look.set()
    os._exit(0)  # the node is gone; whatever is half done belongs to the next boot


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
