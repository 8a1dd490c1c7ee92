"""A connection on which an association was asked for: by whom, and how it is left."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from ichnode.certificates import CertificateUnreadable, certificate_from
from ichnode.dicom.access import AllowedPeer, Peer
from ichnode.dicom.negotiation import ae_titles
from ichnode.dicom.reception import Reception


@dataclass(frozen=True, slots=True)
class Line:
    """A connection, the reception that it came through, its peer, and the entry of the allow-list that lets it in."""

    connection: socket.socket
    reception: Reception
    peer: Peer
    entry: AllowedPeer | None

    def farewell(self, pdu: bytes = b"") -> None:
        """Say the last word, if there is one, and leave the rest to the reception."""
        try:
            if pdu:
                self.connection.send(pdu)  # ten bytes into an empty buffer
        except OSError:
            self.connection.close()
        else:
            self.reception.linger(self.connection, self.peer.address)


@dataclass(frozen=True, slots=True)
class Received:
    """One C-STORE request, its data set exactly as the peer encoded it (never decoded here).

    `encoded` is the association's own memory: the next request overwrites it.
    """

    association_id: int
    peer: Peer
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    encoded: bytes | bytearray
    urgent: bool = False
    """The peer's entry of the allow-list says that what it sends is."""


def peer_at(connection: socket.socket, address: str, encoded: bytes) -> Peer:
    """Return who asks, by the encoded A-ASSOCIATE-RQ and, over TLS, by the certificate."""
    called, calling = ae_titles(encoded)
    if not isinstance(connection, ssl.SSLSocket):
        return Peer(calling, address, called)
    shown = connection.getpeercert(binary_form=True)
    try:
        certificate = certificate_from(shown) if shown else None
    except CertificateUnreadable:
        certificate = None  # OpenSSL has verified it, but nothing can be bound to its names.
    return Peer(calling, address, called, True, certificate)


def named(peer: Peer) -> dict[str, str]:
    """Return a peer for a line of the log."""
    said = {"calling": peer.calling_aet, "address": peer.address}
    return said | {"certificate": peer.certificate.name} if peer.certificate else said
