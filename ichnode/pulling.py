"""What the node does of its own accord towards the archive: looks, orders, fetches, work items; and the alarms."""

from __future__ import annotations

from functools import partial

from ichnode.steps.alarm import watch
from ichnode.steps.company import Company
from ichnode.steps.fetch import Fetcher
from ichnode.steps.node import Node
from ichnode.steps.order import list_due
from ichnode.steps.perform import perform_due
from ichnode.steps.reconcile import look_due
from ichnode.tick import Tick


def pull_ticks(node: Node, company: Company) -> list[Tick]:
    """Return the ticks that the configuration asks for; of several nodes the one that leads does all of it."""
    ticks = [Tick("alarms", company.led(partial(watch, node)), 5.0)]
    source = node.settings.source
    if source.retrieve:
        ticks.append(Tick("look", company.led(partial(look_due, node))))
        ticks.append(Tick("orders", company.led(partial(list_due, node))))
        ticks += [
            Tick(f"fetch {number}", company.led(Fetcher(node).fetch_due)) for number in range(1, source.at_once + 1)
        ]
    if node.settings.workitems.url:
        ticks.append(Tick("workitems", company.led(partial(perform_due, node))))
    return ticks
