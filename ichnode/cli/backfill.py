"""``ichnode backfill``: the head CTs of past days, fetched from the archive and analysed behind everything else."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ichnode.cli.following import follow
from ichnode.cli.options import config_option, settings_from
from ichnode.cli.progress import stages

if TYPE_CHECKING:
    from ichnode.steps.node import Node

_DAY = click.DateTime(["%Y-%m-%d"])


def _hours(ctx: click.Context, parameter: click.Parameter, given: str) -> str:
    from ichnode.channel_section import hours_from

    if given and hours_from(given) is None:
        raise click.BadParameter("write it as 19:00-06:00")
    return given


@click.command()
@config_option
@click.option("--from", "first", type=_DAY, help="First day, by Study Date.")
@click.option(
    "--to",
    "last",
    type=_DAY,
    help="Last day; default the first. Studies of the last source.look_back_h hours are left to the node itself.",
)
@click.option(
    "--per-hour", type=click.IntRange(0), default=0, help="Studies begun within an hour at most; 0: no limit."
)
@click.option(
    "--at-once",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="Studies fetched and not yet answered at most; 0: no limit.",
)
@click.option("--between", "hours", default="", callback=_hours, help='Only in these hours, local time: "19:00-06:00".')
@click.option("--dry-run", is_flag=True, help="Only ask the archive and count; nothing is fetched.")
@click.option("--no-wait", is_flag=True, help="Place the order and return; the node goes on with it.")
@click.option("--list", "listing", is_flag=True, help="List the orders, and how far each is.")
@click.option("--stop", "stopped", type=int, metavar="ORDER", help="Stop an order; what is here stays.")
def command(
    config: Path | None, data: Path | None, first: datetime | None, last: datetime | None, per_hour: int, at_once: int,
    hours: str, dry_run: bool, no_wait: bool, listing: bool, stopped: int | None,
) -> int:  # fmt: skip
    """Fetch the head CTs of past days from the archive in [source], and analyse them when nothing else waits.

    The order is a row: the running node works on it, whether this command goes on watching or not, and goes on with it
    after a restart. The same days again: the order goes on, with the new limits. No channel is told of what it finds.

    Example: ichnode backfill --from 2026-01-01 --to 2026-01-31 --per-hour 20 --between 19:00-06:00
    """
    if sum((first is not None, listing, stopped is not None)) != 1:
        raise click.UsageError("Give --from, --list or --stop.")
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.steps.order import place_backfill
    from ichnode.worklist.audit import terminal

    node = existing_node(settings)
    if listing:
        return _list(node)
    if stopped is not None:
        return _stop(node, stopped)
    assert first is not None
    begin, end = first.date(), (last or first).date()
    if end < begin:
        raise click.UsageError("--to lies before --from.")
    if dry_run:
        return _count(node, begin, end)
    order = place_backfill(node, terminal(), begin, end, per_hour=per_hour, at_once=at_once, hours=hours)
    click.echo(f"Order {order.id}: {begin} to {end}" + (f", between {hours}" if hours else "") + ".")
    return 0 if no_wait else follow(node, order.id)


def _count(node: Node, first: date, last: date) -> int:
    from ichnode.steps.order import check_source, list_day, missing_of

    check_source(node)
    days = (last - first).days + 1
    studies: set[str] = set()
    series = images = absent = 0
    with stages() as told:
        for number in range(days):
            found = list_day(node, (first + timedelta(days=number)).strftime("%Y%m%d"))
            wanted, missing = missing_of(node, found)
            studies |= {one.study_instance_uid for one in missing}
            series, absent = series + len(wanted), absent + len(missing)
            images += sum(one.images or 0 for one in missing)
            told("days", number + 1, days)
    click.echo(
        f"{series} series are head CTs by what the archive says of them, and {series - absent} of them are here. To be "
        f"fetched: {absent} series of {len(studies)} studies, {images} images as far as the archive counts them."
    )
    return 0


def _list(node: Node) -> int:
    from ichnode.steps.order import held
    from ichnode.worklist import orders

    with node.worklist.read() as tx:
        found = [(order, orders.progress(tx, order.id)) for order in orders.latest(tx)]
    for order, so_far in found:
        what = f"{order.first_date} to {order.last_date}" if order.first_date else f"priors of study {order.study_id}"
        click.echo(
            f"{order.id}  {order.state:8} {order.kind}, {what}: {so_far.fetched} of {so_far.listed} series of "
            f"{so_far.studies} studies fetched, {so_far.failed} failed" + (", listing" if order.next_date else "")
        )
        if why := held(node, order):
            click.echo(f"   {why}")
    if not found:
        click.echo("There is no order.")
    return 0


def _stop(node: Node, order_id: int) -> int:
    from ichnode.worklist import audit, orders

    with node.worklist.write() as tx:
        if done := orders.stop(tx, node.now(), order_id):
            audit.record(tx, node.now(), audit.terminal().name, "backfill.stopped", order=order_id)
    if not done:
        click.echo("There is no such open order; `ichnode backfill --list` lists them.", err=True)
        return 1
    click.echo(f"Order {order_id} is stopped. The same --from and --to let it go on.")
    return 0
