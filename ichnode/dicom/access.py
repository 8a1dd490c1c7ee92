"""Who may open an association, and how a peer that may not is told (PS3.8 9.3.4).

The answer is a value: the three numbers of the A-ASSOCIATE-RJ and one sentence that tells an administrator which
setting to change. Without any allowed peer the node is open on loopback and closed to everybody else.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from ichnode.errors import ConfigError

PERMANENT, TRANSIENT = 1, 2
"""Result of an A-ASSOCIATE-RJ, PS3.8 Table 9-21."""
SERVICE_USER, ACSE_PROVIDER, PRESENTATION_PROVIDER = 1, 2, 3
"""Source of an A-ASSOCIATE-RJ, PS3.8 Table 9-21."""
PROVIDER_CONGESTED = (TRANSIENT, PRESENTATION_PROVIDER, 1)
"""Result, source and reason: temporary congestion."""
PROVIDER_BUSY = (TRANSIENT, PRESENTATION_PROVIDER, 2)
"""Result, source and reason: local limit exceeded."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side of an association: its AE title, its IP address, and the AE title it called."""

    calling_aet: str
    address: str
    called_aet: str


@dataclass(frozen=True, slots=True)
class AllowedPeer:
    """One entry of the allow-list. ``aet`` "*" is any AE title; no ``networks`` (IPs or CIDR) is any address."""

    aet: str
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reporter:
    """A destination that is asked for storage commitment, and may call to answer; `host` is an address or a name."""

    aet: str
    host: str

    def is_at(self, address: _Address) -> bool:
        """Tell whether its host is this address, asking the name server where it is a name."""
        try:
            known = {_address(str(found[4][0])) for found in socket.getaddrinfo(self.host, None)}
        except OSError:
            return False
        return address in known


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an association is rejected: PS3.8 Table 9-21 result, source and reason, a stable code, and the remedy."""

    result: int
    source: int
    reason: int
    code: str
    remedy: str


class AccessList:
    """The AE title of the node and the peers that may call it.

    Parameters
    ----------
    aet : str
        AE title that has to be called.
    allowed : sequence of AllowedPeer
        Empty: any AE title, from loopback only.
    reporters : sequence of Reporter
        Admitted too, but not to store.

    Raises
    ------
    ConfigError
        An entry of ``networks`` is neither an IP address nor a CIDR network.
    """

    def __init__(self, aet: str, allowed: Sequence[AllowedPeer], reporters: Sequence[Reporter] = ()) -> None:
        self._aet = aet.strip()
        self._entries = [(peer.aet.strip(), [_network(text) for text in peer.networks]) for peer in allowed]
        self._reporters = reporters

    def may_store(self, peer: Peer) -> bool:
        """Tell whether a peer may send images."""
        address = _address(peer.address)
        if not self._entries:
            return address.is_loopback
        return any(_covers(aet, networks, peer.calling_aet, address) for aet, networks in self._entries)

    def refusal(self, peer: Peer) -> Refusal | None:
        """Return why `peer` is rejected, or None when it may call. AE titles are case-sensitive (PS3.5 6.2)."""
        if peer.called_aet != self._aet:
            return Refusal(
                PERMANENT,
                SERVICE_USER,
                7,  # called AE title not recognized
                "CALLED_AET_UNKNOWN",
                f"The peer called the AE title {peer.called_aet!r}, this node is {self._aet!r}: "
                "correct it at the peer, or set node.aet.",
            )
        if self.may_store(peer) or self._may_report(peer):
            return None
        if not self._entries:
            advice = "no [[peers]] entry exists, so only loopback may send. Add one with this aet and address"
        else:
            advice = "no [[peers]] entry matches both. Add one, or correct aet or networks of an existing one"
        return Refusal(
            PERMANENT,
            SERVICE_USER,
            3,  # calling AE title not recognized
            "PEER_UNKNOWN",
            f"The peer calls itself {peer.calling_aet!r} and comes from {peer.address}: {advice}.",
        )

    def _may_report(self, peer: Peer) -> bool:
        address = _address(peer.address)
        return any(one.aet == peer.calling_aet and one.is_at(address) for one in self._reporters)


def _covers(aet: str, networks: Sequence[_Network], calling_aet: str, address: _Address) -> bool:
    if aet not in ("*", calling_aet):
        return False
    return not networks or any(address in network for network in networks)


def _address(text: str) -> _Address:
    """Return the address; an IPv4 peer seen on an IPv6 socket (``::ffff:192.0.2.1``) is the IPv4 peer."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(
            f"peers.networks: {text!r} is neither an IP address nor a network. "
            'Write "192.0.2.10" or "192.0.2.0/24"; names are not resolved.'
        ) from error
