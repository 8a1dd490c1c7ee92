"""``ichnode serve``: run the node."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ichnode.cli.options import config_option, settings_from

if TYPE_CHECKING:
    from ichnode.config import Settings


@click.command()
@config_option
@click.option("--aet", help="AE title that senders call (node.aet).")
@click.option("--host", help="Address to listen on (node.host).")
@click.option("--port", type=int, help="TCP port; 0 picks a free one (node.port).")
def command(config: Path | None, data: Path | None, aet: str | None, host: str | None, port: int | None) -> None:
    """Run the node until SIGTERM or Ctrl-C, then let what is in hand come to its end.

    SIGHUP reads the configuration anew; one that cannot be used changes nothing.

    Example: ichnode serve --aet ICHAI --port 11112
    """

    def read() -> Settings:
        settings: Settings = settings_from(config, data, node__aet=aet, node__host=host, node__port=port)
        return settings

    settings = read()
    from ichnode.daemon import Daemon

    def listening(plain: int | None, secure: int | None) -> None:
        node, also = settings.node, f" and over TLS on {secure}" if plain and secure else ""
        only = "" if plain else " over TLS"
        click.echo(f"ichnode {node.aet} listens on {node.host}:{plain or secure}{only}{also} (research use only)")

    def pages(address: str) -> None:
        click.echo(f"The worklist is at {address}")

    Daemon(settings, read).run(listening, pages)
    for number in (signal.SIGTERM, signal.SIGINT):
        # All is done. Python puts the default back while it ends, and one more signal would make a failure of it.
        signal.signal(number, signal.SIG_IGN)
