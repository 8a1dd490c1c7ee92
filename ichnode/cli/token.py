"""``ichnode token``: which programs may read the JSON."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from
from ichnode.core.access import PERMISSIONS


@click.group()
def command() -> None:
    """Make and revoke tokens by which programs use the JSON of the node.

    Example: ichnode token add monitoring --scope node.read
    """


@command.command()
@config_option
@click.option(
    "--scope", "scopes", type=click.Choice(sorted(PERMISSIONS)), multiple=True, required=True,
    help="What it may; give it again for more.",
)  # fmt: skip
@click.option("--days", type=click.IntRange(1), default=365, show_default=True, help="How long it holds.")
@click.argument("name")
def add(config: Path | None, data: Path | None, scopes: tuple[str, ...], days: int, name: str) -> None:
    """Make a token and print it, once: it cannot be shown again.

    Example: ichnode token add monitoring --scope node.read
    """
    settings = settings_from(config, data)
    import secrets

    from ichnode.errors import PermanentError
    from ichnode.steps.node import open_node
    from ichnode.worklist import tokens

    if not 0 < len(name) <= 64 or not name.isprintable():
        raise PermanentError("A name has 1 to 64 printable characters.", "TOKEN")
    node = open_node(settings)
    secret = f"ichnode_{secrets.token_urlsafe(32)}"
    with node.worklist.write() as tx:
        tokens.add(tx, node.now(), name, secret, scopes, node.now() + timedelta(days=days))
    click.echo(secret)
    click.echo(f"Keep it safe: it may {', '.join(scopes)} for {days} days, and is not shown again.", err=True)


@command.command("list")
@config_option
def show(config: Path | None, data: Path | None) -> None:
    """List the tokens.

    Example: ichnode token list
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import open_node
    from ichnode.worklist import tokens

    node = open_node(settings)
    with node.worklist.read() as tx:
        rows = tokens.listed(tx)
    for row in rows:
        end = f"revoked {row['revoked_at']:%Y-%m-%d}" if row["revoked_at"] else f"until {row['expires_at']:%Y-%m-%d}"
        seen = f"last used {row['seen_at']:%Y-%m-%d %H:%M} UTC" if row["seen_at"] else "never used"
        click.echo(f"{row['name']}  {', '.join(row['scopes'])}  {end}  {seen}")
    if not rows:
        click.echo("No token yet: ichnode token add NAME --scope worklist.read")


@command.command()
@config_option
@click.argument("name")
def revoke(config: Path | None, data: Path | None, name: str) -> None:
    """End a token, from this moment on.

    Example: ichnode token revoke monitoring
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.worklist import tokens

    node = existing_node(settings)
    with node.worklist.write() as tx:
        tokens.revoke(tx, node.now(), name)
    click.echo(f"{name} is revoked.")
