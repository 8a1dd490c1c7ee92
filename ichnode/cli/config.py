"""``ichnode config``: check a configuration, or show every setting."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from


@click.group()
def command() -> None:
    """Check a configuration, or show every setting with its value.

    Example: ichnode config check --config config.toml
    """


@command.command()
@config_option
def check(config: Path | None, data: Path | None) -> None:
    """Say whether the configuration can be used; names every wrong key and the nearest right one.

    Example: ichnode config check --config config.toml
    """
    settings_from(config, data)
    file = config or os.environ.get("ICHNODE_CONFIG") or "The defaults"
    click.echo(f"{file}: every setting is known and well typed.")


@command.command()
@config_option
@click.option("--defaults", is_flag=True, help="The commented file with all defaults instead of what is in force.")
def show(config: Path | None, data: Path | None, defaults: bool) -> None:
    """Show the settings in force, or the commented defaults.

    Example: ichnode config show --defaults > config.toml
    """
    from ichnode.config import render_toml

    if defaults:
        click.echo(render_toml(), nl=False)
        return
    import tomli_w

    settings = settings_from(config, data)
    click.echo(tomli_w.dumps(settings.model_dump(mode="json")), nl=False)
