"""``ichnode healthy``: does the node of this configuration run? For containers and monitoring."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from


@click.command()
@config_option
def command(config: Path | None, data: Path | None) -> int:
    """Ask the node that runs here whether it is alive; exit code 1 if not. For the health check of a container.

    It looks at nothing outside of this machine: a PACS that is down makes no node unhealthy.
    `ichnode doctor` looks at all.

    Example: ichnode healthy --config config.toml
    """
    settings = settings_from(config, data)
    from ichnode.steps.healthy import healthy

    check = healthy(settings)
    if check.remedy:
        click.echo(f"{check.found}. {check.remedy}", err=True)
        return 1
    click.echo(check.found)
    return 0
