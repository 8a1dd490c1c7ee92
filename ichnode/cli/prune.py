"""``ichnode prune``: remove what retention lets go, now; or only say what that would be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ichnode.cli.options import config_option, settings_from

if TYPE_CHECKING:
    from ichnode.steps.prune import Plan


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be, and what stays and why.")
def command(config: Path | None, data: Path | None, dry_run: bool) -> int:
    """Remove images, heat maps and files of reports as [retention] says. A running node does so every minute.

    Undelivered and unfinished work, what readers labelled and what judges models stays. Answers stay when images go.

    Example: ichnode prune --dry-run
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.steps.prune import plan, prune, sweep_strays
    from ichnode.worklist import audit

    node = existing_node(settings)
    if dry_run:
        _print_plan(plan(node), node.spool.free_bytes())
        return 0
    done = prune(node)
    with node.worklist.write() as tx:
        audit.record(tx, node.now(), audit.terminal().name, "node.pruned", series=done.series, forgotten=done.forgotten)
    click.echo(
        f"{done.series} series purged, {done.files} files and {done.bytes / 1e9:.2f} GB removed, "
        f"{done.forgotten} studies forgotten, {sweep_strays(node)} left-over files swept."
    )
    return 0


def _print_plan(planned: Plan, free_bytes: int) -> None:
    for one, because in planned.series:
        size = f"{one.bytes / 1e6:.0f} MB"
        click.echo(f"series {one.id} of study {one.study_id}, {one.last_slice_at:%Y-%m-%d}, {size}, {because}")
    total = f"{planned.bytes / 1e9:.2f} GB"
    click.echo(f"{len(planned.series)} series with {total} would be purged; {free_bytes / 1e9:.2f} GB are free.")
    for name, number in planned.held.items():
        click.echo(f"  stays: {number} series, {name}")
    if planned.missing_bytes:
        click.echo(
            f"{planned.missing_bytes / 1e9:.2f} GB are missing after that: deliver or give up what waits "
            "(`ichnode worklist`), or free space by hand."
        )
