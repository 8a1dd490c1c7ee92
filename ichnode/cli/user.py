"""``ichnode user``: who may open the pages."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

from ichnode.cli.options import config_option, settings_from

_ROLE = click.Choice(["reader", "radiologist", "administrator"])
_password_file = click.option(
    "--password-file", type=click.File("r"), help="Read the password from this file (- is standard input); do not ask."
)


@click.group()
def command() -> None:
    """Add and change the accounts of those who may open the pages of the node.

    reader: sees worklist and studies. radiologist: signs off and teaches as well. administrator: runs the node as well.

    Example: ichnode user add ada --role radiologist
    """


@command.command()
@config_option
@click.option("--role", type=_ROLE, required=True, help="What the account is for.")
@click.option("--at-the-proxy", is_flag=True, help="No password: the trusted reverse proxy says who it is.")
@_password_file
@click.argument("name")
def add(
    config: Path | None, data: Path | None, role: str, at_the_proxy: bool, password_file: TextIO | None,
    name: str,
) -> None:  # fmt: skip
    """Add the account NAME.

    Example: ichnode user add ada --role radiologist
    """
    settings = settings_from(config, data)
    from ichnode.core.access import RESERVED, is_account_name
    from ichnode.errors import PermanentError
    from ichnode.steps.node import open_node
    from ichnode.web.passwords import hash_password
    from ichnode.worklist import accounts

    if not is_account_name(name):
        raise PermanentError(
            f"A name has 1 to 64 printable characters, without a colon, and is none of {', '.join(sorted(RESERVED))}.",
            "ACCOUNT",
        )
    kept = None if at_the_proxy else hash_password(_password(password_file))
    node = open_node(settings)
    with node.worklist.write() as tx:
        accounts.add(tx, node.now(), name, role, kept)
    click.echo(f"{name.lower()} may sign in as {role}.")


@command.command("list")
@config_option
def show(config: Path | None, data: Path | None) -> None:
    """List the accounts.

    Example: ichnode user list
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import open_node
    from ichnode.worklist import accounts

    node = open_node(settings)
    with node.worklist.read() as tx:
        rows = accounts.listed(tx)
    for row in rows:
        seen = f"last signed in {row['seen_at']:%Y-%m-%d %H:%M} UTC" if row["seen_at"] else "never signed in"
        click.echo(f"{row['name']}  {row['role']}  {'disabled' if row['disabled'] else 'enabled'}  {seen}")
    if not rows:
        click.echo("No account yet: ichnode user add NAME --role administrator")


@command.command()
@config_option
@_password_file
@click.argument("name")
def password(config: Path | None, data: Path | None, password_file: TextIO | None, name: str) -> None:
    """Give NAME another password; whoever is signed in under that name has to sign in again.

    Example: ichnode user password ada
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.web.passwords import hash_password
    from ichnode.worklist import accounts

    kept = hash_password(_password(password_file))
    node = existing_node(settings)
    with node.worklist.write() as tx:
        accounts.change(tx, node.now(), name, password=kept)
    click.echo(f"{name.lower()} has another password.")


@command.command()
@config_option
@click.option("--role", type=_ROLE, required=True, help="What the account is for from now on.")
@click.argument("name")
def role(config: Path | None, data: Path | None, role: str, name: str) -> None:
    """Give NAME another role.

    Example: ichnode user role ada --role administrator
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.worklist import accounts

    node = existing_node(settings)
    with node.worklist.write() as tx:
        accounts.change(tx, node.now(), name, role=role)
    click.echo(f"{name.lower()} is {role}.")


@command.command()
@config_option
@click.option("--undo", is_flag=True, help="Let the account in again.")
@click.argument("name")
def disable(config: Path | None, data: Path | None, undo: bool, name: str) -> None:
    """Let NAME in no more, from this moment on. What was done under that name stays in the journal.

    Example: ichnode user disable ada
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.worklist import accounts

    node = existing_node(settings)
    with node.worklist.write() as tx:
        accounts.change(tx, node.now(), name, disabled=not undo)
    click.echo(f"{name.lower()} is {'enabled' if undo else 'disabled'}.")


def _password(file: TextIO | None) -> str:
    if file is not None:
        return str(file.read()).rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
