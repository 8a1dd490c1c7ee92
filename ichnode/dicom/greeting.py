"""What is said of a connection that does not begin as it should."""

from __future__ import annotations

import errno
import ssl

from ichnode.dicom.secure import why_no_handshake
from ichnode.dicom.transport import PduType

TLS_HANDSHAKE = b"\x16"
"""First byte of a TLS connection (RFC 8446 5.1)."""
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GREETINGS = ((b"\x16\x03", "TLS"), (b"GET ", "HTTP"), (b"POST", "HTTP"), (b"SSH-", "SSH"))


def not_a_request(received: bytes | bytearray, on_tls_port: bool) -> tuple[str, str]:
    """Return code and remedy for first bytes that are no A-ASSOCIATE-RQ, or one that came without TLS."""
    if on_tls_port and received[0] == PduType.ASSOCIATE_RQ:
        remedy = "DICOM without TLS was sent to the TLS port: switch TLS on there, or let it call node.port."
        return "NOT_TLS", remedy
    spoken = next((name for start, name in _GREETINGS if received.startswith(start)), "Something")
    if spoken == "TLS":
        return "NOT_DICOM", "TLS was sent to the DICOM port without it: let it call tls.port, or switch TLS off there."
    return "NOT_DICOM", f"{spoken} was sent to the DICOM port: correct the port at that address."


def no_handshake(error: Exception) -> tuple[str, str, bool]:
    """Return code and remedy for a TLS handshake that failed, and whether the peer is still there."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return *why_no_handshake(error), True
    return "TLS_HANDSHAKE", "It ended the connection in the TLS handshake.", False
