"""Which peers a command talks to: a configured destination by name, all of them, or ``AET@HOST:PORT``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ichnode.config import Settings
    from ichnode.dicom.requestor import Remote
    from ichnode.https import WebRemote

_TARGET = re.compile(r"(?P<aet>[^@]{1,16})@(?P<host>.+):(?P<port>\d{1,5})")


def remotes_from(settings: Settings, destination: str | None, target: str | None) -> list[Remote | WebRemote]:
    """Return the peers that the command line names.

    Raises
    ------
    click.UsageError
        An unknown destination, a target of another form, or nothing to talk to.
    """
    from ichnode.dicom.destination import remote_of
    from ichnode.dicom.requestor import Remote

    calling, timeout_s = settings.node.aet, settings.delivery.timeout_s
    if target is not None:
        match = _TARGET.fullmatch(target)
        if match is None:
            raise click.UsageError(f"{target!r} is not of the form AET@HOST:PORT.")
        return [Remote(target, match["aet"], match["host"], int(match["port"]), calling, timeout_s=timeout_s)]
    chosen = [d for d in settings.destinations if destination in (None, d.name)]
    if not chosen:
        known = ", ".join(d.name for d in settings.destinations) or "none is configured"
        raise click.UsageError(f"No such destination ({known}). Name one, or give --to AET@HOST:PORT.")
    return [remote_of(d, calling, timeout_s, settings.tls) for d in chosen]
