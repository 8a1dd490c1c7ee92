"""A receiving process beside the node's own, on the same port. Started by the node as ``python -m ichnode.receiver``.

The first line on standard input is JSON (settings, boot, number, ports); ``drain`` asks it to end when its
associations have, and the end of the input means that the node is gone. It says ``listening``, and ``slices`` whenever
an association has ended through which slices came.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from ichnode.config import Settings
from ichnode.errors import IchnodeError
from ichnode.log import configure, get_logger
from ichnode.receiving import receiver
from ichnode.steps.node import open_node

DRAIN_S = 30.0
log = get_logger(__name__)


def main() -> int:
    """Run until told to drain; the exit code is 2 when it cannot listen."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the node drains it
    task = json.loads(sys.stdin.readline())
    settings = Settings.model_validate(task["settings"])
    configure(settings.log.level, settings.log.format)
    try:
        _receive(settings, task)
    except (IchnodeError, OSError) as error:
        remedy = error.sentence if isinstance(error, IchnodeError) else f"The port: {error.strerror}."
        log.error("receiver.cannot_listen", receiver=task["number"], remedy=remedy)
        return 2
    return 0


def _receive(settings: Settings, task: dict[str, object]) -> None:
    asked = threading.Event()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    node = open_node(settings, str(task["boot"]))
    ports: dict[str, int] = task["ports"]  # type: ignore[assignment]
    number: int = task["number"]  # type: ignore[assignment]
    scp = receiver(node, lambda: _say("slices"), number, **ports)
    scp.start()
    _say("listening")
    asked.wait()
    if not scp.drain(DRAIN_S):
        log.warning("node.drain_incomplete", remedy="associations were still open and are aborted now")
    scp.stop()
    node.decoders.close()
    node.worklist.dispose()


def _listen(asked: threading.Event) -> None:
    for _ in sys.stdin:
        asked.set()
    os._exit(0)  # the node is gone; what was acknowledged is durable, and the rest is the sender's to send again


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
