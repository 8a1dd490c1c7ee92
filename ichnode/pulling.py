"""What the node does of its own accord towards the archive: looks, orders, fetches; and the alarms, under ticks."""

from __future__ import annotations

from functools import partial

from ichnode.steps.alarm import watch
from ichnode.steps.fetch import Fetcher
from ichnode.steps.node import Node
from ichnode.steps.order import list_due
from ichnode.steps.reconcile import look_due
from ichnode.tick import Tick


def pull_ticks(node: Node) -> list[Tick]:
    """Return the ticks that the configuration asks for."""
    ticks = [Tick("alarms", partial(watch, node), 5.0)]
    source = node.settings.source
    if source.retrieve:
        ticks.append(Tick("look", partial(look_due, node)))
        ticks.append(Tick("orders", partial(list_due, node)))
        ticks += [Tick(f"fetch {number}", Fetcher(node).fetch_due) for number in range(1, source.at_once + 1)]
    return ticks
