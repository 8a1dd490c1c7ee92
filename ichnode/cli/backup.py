"""``ichnode backup``: one consistent copy while the node runs."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from
from ichnode.cli.progress import stages


@click.command()
@config_option
@click.argument("to", type=click.Path(file_okay=False, path_type=Path))
def command(config: Path | None, data: Path | None, to: Path) -> int:
    """Copy worklist, slices, reports, models, labels and the configuration file into TO, a new folder.

    The node may run meanwhile. All that was acknowledged before is in the copy. It holds patients' data: keep it as you
    keep the node's folder. Files of secrets and certificates that the configuration names are not copied.

    Example: ichnode backup /backup/ichnode-$(date +%F)
    """
    settings = settings_from(config, data)
    from ichnode.steps.backup import backup
    from ichnode.steps.node import existing_node
    from ichnode.worklist import audit

    node = existing_node(settings)
    with node.worklist.write() as tx:
        audit.record(tx, node.now(), audit.terminal().name, "node.backup_begun")
    named = os.environ.get("ICHNODE_CONFIG")
    with stages() as tell:
        kept = backup(node, to, config or (Path(named) if named else None), tell)
    click.echo(f"{kept.files} files with {kept.bytes / 1e9:.2f} GB and the worklist are in {to}.")
    return 0
