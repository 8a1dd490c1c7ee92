"""``ichnode doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.argument("topic", required=False, type=click.Choice(["tls"]), metavar="[tls]")
def command(config: Path | None, data: Path | None, as_json: bool, topic: str | None) -> int:
    """Check port, peers, disk, worklist, decoders, model, destinations, channels, clock; exit code 1 if one is wrong.

    With tls: what DICOM over TLS offers, certificate, chain, expiry and rights of the key, and a handshake with the
    node itself and with each destination.

    Example: ichnode doctor --config config.toml
    """
    settings = settings_from(config, data)
    if topic == "tls":
        from ichnode.steps.examine_tls import examine_tls as examine
    else:
        from ichnode.steps.examine import examine

    checks = []
    for check in examine(settings):
        checks.append(check)
        if not as_json:
            click.echo(f"{'ok  ' if not check.remedy else 'LOOK'}  {check.name}: {check.found}")
            if check.remedy:
                click.echo(f"      {check.remedy}")
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    return 1 if any(check.remedy for check in checks) else 0
