"""Every kind of channel in one table, and how a message is given to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from ichnode.channel_section import ChannelSection
from ichnode.errors import PeerBusy, PeerUnreachable
from ichnode.notify import fhir, hl7, mail, webhook
from ichnode.notify.message import Message, Said


@dataclass(frozen=True, slots=True)
class Kind:
    """A way out.

    Attributes
    ----------
    reach : callable
        Asks whether the channel is there: ``reach(channel, timeout_s)``.
    send : callable
        Sends one message: ``send(channel, message, timeout_s, now)``.
    """

    reach: Callable[[ChannelSection, float], None]
    send: Callable[[ChannelSection, Message, float, Callable[[], datetime]], Said]


KINDS: Mapping[str, Kind] = {
    "webhook": Kind(webhook.reach, webhook.send),
    "mail": Kind(mail.reach, mail.send),
    "hl7": Kind(hl7.reach, hl7.send),
    "fhir": Kind(fhir.reach, fhir.send),
}


def reach(channel: ChannelSection, timeout_s: float) -> None:
    """Ask a channel whether it is there and lets the node in, without sending a message.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    KINDS[channel.kind].reach(channel, timeout_s)


def give(channel: ChannelSection, message: Message, timeout_s: float, now: Callable[[], datetime]) -> Said:
    """Give one message to a channel.

    A message that a channel never answers must not keep others from it: only where the channel cannot be reached either
    does it count as down.

    Raises
    ------
    PeerUnreachable, PeerRefused
        The channel is not there, has no time now, or does not let the node in.
    """
    try:
        return KINDS[channel.kind].send(channel, message, timeout_s, now)
    except PeerBusy:
        raise
    except PeerUnreachable as lost:
        reach(channel, timeout_s)
        return Said(lost.sentence, transient=True)


def address_of(channel: ChannelSection) -> str:
    """Return where a channel leads, for people; never the path of a webhook."""
    if channel.url:
        url = urlsplit(channel.url)
        return channel.url if channel.kind == "fhir" else f"{url.scheme}://{url.netloc}"
    return f"{channel.host}:{channel.port}" if channel.port else channel.host
