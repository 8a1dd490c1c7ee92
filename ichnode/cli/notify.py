"""``ichnode notify``: try a channel."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from


@click.group()
def command() -> None:
    """Try the channels that tell people and systems of results (`[[channels]]`).

    Example: ichnode notify test oncall --config config.toml
    """


@command.command()
@config_option
@click.argument("channel")
def test(config: Path | None, data: Path | None, channel: str) -> int:
    """Send CHANNEL a message that says that it is a test; a fhir server is only asked whether it is there.

    It is about no patient. Nothing is written into the worklist, and the node need not run.

    Example: ichnode notify test oncall
    """
    settings = settings_from(config, data)
    found = {one.name: one for one in settings.channels}
    if channel not in found:
        raise click.UsageError(f"No such channel ({', '.join(found) or 'none is configured'}).")
    from ichnode.errors import PeerRefused, PeerUnreachable
    from ichnode.notify.channels import address_of
    from ichnode.steps.notify import send_test

    try:
        said = send_test(settings, found[channel])
    except (PeerUnreachable, PeerRefused) as error:
        click.echo(error.sentence, err=True)
        return 1
    if said.error is not None or said.remark:
        click.echo(said.error or said.remark, err=True)
        return 1
    did = "is there; no test record was filed" if found[channel].kind == "fhir" else "took the test message"
    click.echo(f"{channel}: {address_of(found[channel])} {did}")
    return 0
