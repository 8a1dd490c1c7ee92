"""Every kind of channel in one table, and how messages are given to one: whatever breaks, each has its own answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from ichnode.channel_section import ChannelSection
from ichnode.errors import PeerBusy, PeerRefused, PeerUnreachable
from ichnode.notify import fhir, hl7, mail, webhook
from ichnode.notify.message import Message, Said

_IN_A_ROW = 2


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


def give(
    channel: ChannelSection, messages: Sequence[Message], timeout_s: float, now: Callable[[], datetime]
) -> list[Said]:
    """Give messages to a channel, one after the other.

    A message that a channel never answers must not keep others from it: only where two in a row are lost the rest
    waits, and only a channel that cannot be reached either counts as down.

    Returns
    -------
    list of Said
        One for each message.

    Raises
    ------
    PeerUnreachable, PeerRefused
        It took nothing at all, and is not there or does not let the node in.
    """
    send = KINDS[channel.kind].send
    said: list[Said] = []
    lost: list[PeerUnreachable | PeerRefused] = []
    answered = False
    for message in messages:
        if len(lost) < _IN_A_ROW:
            try:
                said.append(send(channel, message, timeout_s, now))
            except (PeerBusy, PeerRefused) as error:
                if not answered:
                    raise
                lost += [error] * _IN_A_ROW
            except PeerUnreachable as error:
                lost.append(error)
            else:
                lost.clear()
                answered = True
                continue
        said.append(Said(lost[-1].sentence, transient=True))
    if lost and not answered:
        reach(channel, timeout_s)
    return said


def address_of(channel: ChannelSection) -> str:
    """Return where a channel leads, for people; never the path of a webhook."""
    if channel.url:
        url = urlsplit(channel.url)
        return channel.url if channel.kind == "fhir" else f"{url.scheme}://{url.netloc}"
    return f"{channel.host}:{channel.port}" if channel.port else channel.host
