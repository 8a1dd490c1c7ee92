"""``ichnode restore``: a backup into an empty data folder."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from
from ichnode.cli.progress import stages


@click.command()
@config_option
@click.argument("source", metavar="FROM", type=click.Path(file_okay=False, exists=True, path_type=Path))
def command(config: Path | None, data: Path | None, source: Path) -> int:
    """Put the backup FROM into the data folder (node.data), which has to be empty, and bring its worklist up to date.

    Deliveries that waited when the backup was made go on at the start; what a destination got since then it gets once
    more, as the same object. Never let two nodes run from one backup with the same destinations.

    Example: ichnode restore /backup/ichnode-2026-03-01 --config /etc/ichnode.toml
    """
    settings = settings_from(config, data)
    from ichnode.steps.backup import restore
    from ichnode.worklist.audit import terminal

    with stages() as tell:
        kept = restore(settings, terminal(), source, tell)
    click.echo(f"{kept.files} files with {kept.bytes / 1e9:.2f} GB and the worklist are in {settings.node.data}.")
    click.echo("Next: give the folder to the node's user, run `ichnode doctor`, then `ichnode serve`.")
    return 0
