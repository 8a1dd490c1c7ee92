"""Who may open an association, and how a peer that may not is told (PS3.8 9.3.4).

The answer is a value: the three numbers of the A-ASSOCIATE-RJ and one sentence that tells an administrator which
setting to change. Without any allowed peer the node is open on loopback and closed to everybody else.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, fields

from ichnode.certificates import Certificate
from ichnode.dicom.syntaxes import CT_IMAGE, ENHANCED_CT, LEGACY_CONVERTED_ENHANCED_CT, VERIFICATION
from ichnode.errors import ConfigError
from ichnode.peer_section import PeerSection
from ichnode.trust import is_fingerprint

PERMANENT, TRANSIENT = 1, 2
"""Result of an A-ASSOCIATE-RJ, PS3.8 Table 9-21."""
SERVICE_USER, ACSE_PROVIDER, PRESENTATION_PROVIDER = 1, 2, 3
"""Source of an A-ASSOCIATE-RJ, PS3.8 Table 9-21."""
PROVIDER_CONGESTED = (TRANSIENT, PRESENTATION_PROVIDER, 1)
"""Result, source and reason: temporary congestion."""
PROVIDER_BUSY = (TRANSIENT, PRESENTATION_PROVIDER, 2)
"""Result, source and reason: local limit exceeded."""

UID_OF = {
    "CTImageStorage": CT_IMAGE,
    "EnhancedCTImageStorage": ENHANCED_CT,
    "LegacyConvertedEnhancedCTImageStorage": LEGACY_CONVERTED_ENHANCED_CT,
    "Verification": VERIFICATION,
}
"""What `sop_classes` of a ``[[peers]]`` entry may name."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side of an association.

    Attributes
    ----------
    calling_aet, address, called_aet : str
        Its AE title, its IP address, and the AE title it called.
    is_secure : bool
        It came over TLS.
    certificate : Certificate or None
        That it showed, and that an authority of the node's has issued.
    """

    calling_aet: str
    address: str
    called_aet: str
    is_secure: bool = False
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class AllowedPeer:
    """One entry of the allow-list.

    Attributes
    ----------
    aet : str
        "*" is any AE title.
    networks : tuple of str
        IP addresses or CIDR networks; none is any address.
    called_aet : str
        AE title that it has to call; empty: the node's.
    sop_classes : tuple of str
        UIDs that it may store; none is all. A C-ECHO is always answered (PS3.2 7).
    tls : bool
        Over TLS only.
    certificates : tuple of str
        Over TLS only, and its certificate has to hold one of these names or have one of these SHA-256 fingerprints.
    max_associations : int
        At once, of all that this entry lets in; 0 is as many as the node has.
    slices_per_s, bytes_per_s : float
        As `Pace`.
    urgent : bool
        What it sends is analysed first.
    """

    aet: str
    networks: tuple[str, ...] = ()
    called_aet: str = ""
    sop_classes: tuple[str, ...] = ()
    tls: bool = False
    certificates: tuple[str, ...] = ()
    max_associations: int = 0
    slices_per_s: float = 0.0
    bytes_per_s: float = 0.0
    urgent: bool = False


def allowed_peer(section: PeerSection) -> AllowedPeer:
    """Return an entry of the configuration as the allow-list needs it; what it says beside that is for others."""
    given = {field.name: getattr(section, field.name) for field in fields(AllowedPeer)}
    return AllowedPeer(**given | {"sop_classes": tuple(UID_OF[name] for name in section.sop_classes)})


@dataclass(frozen=True, slots=True)
class Reporter:
    """A destination that is asked for storage commitment, and may call to answer; `host` is an address or a name."""

    aet: str
    host: str

    def is_at(self, address: _Address) -> bool:
        """Tell whether its host is this address, asking the name server where it is a name."""
        try:
            known = {_address(str(found[4][0])) for found in socket.getaddrinfo(self.host, None)}
        except (OSError, UnicodeError):  # it does not resolve, or cannot be a name
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


@dataclass(frozen=True, slots=True)
class _Entry:
    peer: AllowedPeer
    called_aet: str
    networks: tuple[_Network, ...]

    def names(self, peer: Peer, address: _Address) -> bool:
        """Tell whether it is for this AE title and address."""
        if self.peer.aet.strip() not in ("*", peer.calling_aet):
            return False
        return not self.networks or any(address in network for network in self.networks)

    def trusts(self, peer: Peer) -> bool:
        """Tell whether TLS and certificate are as it asks."""
        if self.peer.certificates:
            shown = peer.certificate
            return shown is not None and any(_is_of(shown, text) for text in self.peer.certificates)
        return peer.is_secure or not self.peer.tls

    def admits(self, peer: Peer, address: _Address) -> bool:
        return self.called_aet == peer.called_aet and self.names(peer, address) and self.trusts(peer)


class AccessList:
    """The AE title of the node and the peers that may call it.

    Parameters
    ----------
    aet : str
        AE title that has to be called.
    allowed : sequence of AllowedPeer
        The first that fits a peer counts for it. Empty: any AE title, from loopback only.
    reporters : sequence of Reporter
        Admitted too, but not to store.

    Raises
    ------
    ConfigError
        An entry of ``networks`` is neither an IP address nor a CIDR network.
    """

    def __init__(self, aet: str, allowed: Sequence[AllowedPeer], reporters: Sequence[Reporter] = ()) -> None:
        self._aet = aet.strip()
        self._entries = [
            _Entry(peer, peer.called_aet.strip() or self._aet, tuple(map(_network, peer.networks))) for peer in allowed
        ]
        self._reporters = reporters

    def entry_of(self, peer: Peer) -> AllowedPeer | None:
        """Return the entry that lets a peer in; None where there is none."""
        address = _address(peer.address)
        return next((entry.peer for entry in self._entries if entry.admits(peer, address)), None)

    def may_store(self, peer: Peer) -> bool:
        """Tell whether a peer may send images."""
        if not self._entries:
            return _address(peer.address).is_loopback and peer.called_aet == self._aet
        return self.entry_of(peer) is not None

    def refusal(self, peer: Peer) -> Refusal | None:
        """Return why `peer` is rejected, or None when it may call. AE titles are case-sensitive (PS3.5 6.2)."""
        if self.may_store(peer) or (peer.called_aet == self._aet and self._may_report(peer)):
            return None
        address = _address(peer.address)
        named = [entry for entry in self._entries if entry.names(peer, address)]
        known = {self._aet, *(entry.called_aet for entry in named)}
        if peer.called_aet not in known:
            return Refusal(
                PERMANENT,
                SERVICE_USER,
                7,  # called AE title not recognized
                "CALLED_AET_UNKNOWN",
                f"The peer called the AE title {peer.called_aet!r}, "
                f"this node is {' or '.join(map(repr, sorted(known)))}: "
                "correct it at the peer, or set node.aet.",
            )
        said = f"The peer calls itself {peer.calling_aet!r} and comes from {peer.address}"
        if (entry := next((e for e in named if e.called_aet == peer.called_aet), None)) is not None:
            return Refusal(PERMANENT, SERVICE_USER, 3, *_not_trusted(said, entry.peer, peer))
        if not self._entries:
            advice = "no [[peers]] entry exists, so only loopback may send. Add one with this aet and address"
        elif named:
            advice = f"its [[peers]] entry has it call {named[0].called_aet!r}. Correct called_aet, or the peer"
        else:
            advice = "no [[peers]] entry matches both. Add one, or correct aet or networks of an existing one"
        return Refusal(
            PERMANENT,
            SERVICE_USER,
            3,  # calling AE title not recognized
            "PEER_UNKNOWN",
            f"{said}: {advice}.",
        )

    def _may_report(self, peer: Peer) -> bool:
        address = _address(peer.address)
        return any(one.aet == peer.calling_aet and one.is_at(address) for one in self._reporters)


def _not_trusted(said: str, entry: AllowedPeer, peer: Peer) -> tuple[str, str]:
    """Return code and remedy for a peer whose entry asks for TLS or for another certificate."""
    if not peer.is_secure:
        return "TLS_ASKED", f"{said} without TLS, which its [[peers]] entry asks for: let it call tls.port over TLS."
    if peer.certificate is None:
        return "NO_CERTIFICATE", f"{said} and shows no certificate: give it one of {', '.join(entry.certificates)}."
    shown = f"{', '.join(peer.certificate.names)}; SHA-256 {peer.certificate.sha256}"
    return (
        "CERTIFICATE_OF_ANOTHER",
        f"{said} with a certificate ({shown}) that is not in certificates of its [[peers]] entry: "
        "add one of these names, or find out who called.",
    )


def _is_of(shown: Certificate, text: str) -> bool:
    """Tell whether a certificate is that of a fingerprint, or holds a name; a name never stands for a fingerprint."""
    return text == shown.sha256 if is_fingerprint(text) else text in shown.names


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
