"""``ichnode echo``: does a destination answer?"""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from


@click.command()
@config_option
@click.option("--to", "target", help="AET@HOST:PORT instead of a configured destination.")
@click.argument("destination", required=False)
def command(config: Path | None, data: Path | None, target: str | None, destination: str | None) -> int:
    """Ask DESTINATION, or every configured one, by C-ECHO, or over the web, whether it answers.

    Example: ichnode echo --to ORTHANC@127.0.0.1:4242
    """
    settings = settings_from(config, data)
    from ichnode.cli.remotes import remotes_from
    from ichnode.dicom.destination import address_of, ask_whether_there
    from ichnode.errors import PeerRefused, PeerUnreachable

    silent = 0
    for remote in remotes_from(settings, destination, target):
        try:
            ask_whether_there(remote)
        except (PeerUnreachable, PeerRefused) as error:
            silent += 1
            click.echo(f"{remote.name}: {error.sentence}", err=True)
        else:
            click.echo(f"{remote.name}: {address_of(remote)} answers")
    return 1 if silent else 0
