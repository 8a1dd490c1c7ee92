"""Watching an order while the node works on it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from ichnode.cli.progress import stages

if TYPE_CHECKING:
    from ichnode.steps.node import Node

LOOK_S = 1.0


def follow(node: Node, order_id: int) -> int:
    """Show how far an order is until it has ended and everything is answered; Ctrl-C ends the watching only."""
    from ichnode.core.lifecycle import OrderState
    from ichnode.steps.healthy import healthy
    from ichnode.steps.order import held
    from ichnode.worklist import orders

    if healthy(node.settings).remedy:
        click.echo("The node does not answer; it takes the order up when it runs: ichnode serve.", err=True)
    pause = threading.Event()
    said = ""
    with stages() as told:
        while True:
            with node.worklist.read() as tx:
                order, so_far = orders.of(tx, order_id), orders.progress(tx, order_id)
            if so_far.listed:
                told("series fetched", so_far.fetched + so_far.failed, so_far.listed)
            if (why := held(node, order)) != said and why:
                click.echo(why, err=True)
            said = why
            if order.state != OrderState.OPEN and not so_far.unanswered:
                break
            pause.wait(LOOK_S)
    click.echo(
        f"{so_far.fetched} series of {so_far.studies} studies fetched, {so_far.failed} could not be: "
        f"order {order_id} is {order.state}."
    )
    return 1 if so_far.failed else 0
