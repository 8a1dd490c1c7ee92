"""Syslog over TLS: messages of RFC 5424 in the framing of RFC 5425, and the certainty that they arrived.

Syslog has no acknowledgement. Each batch has a connection of its own, which is closed the orderly way: a peer that
closes its side has read all that came before ours.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.trust import tls_context, why_not_connected

_PRIORITY = 10 * 8 + 5
"""Facility 10 (security, authorization), severity 5 (notice)."""
_BOM = b"\xef\xbb\xbf"


def syslog_message(at: datetime, content: bytes, *, host: str, program: str, process: int, kind: str) -> bytes:
    """Return one message of RFC 5424 whose text is UTF-8."""
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = f"<{_PRIORITY}>1 {moment} {_word(host, 255)} {_word(program, 48)} {process} {_word(kind, 32)} - "
    return head.encode("ascii") + _BOM + content


def send_syslog(messages: Sequence[bytes], host: str, port: int, files: tuple[str, str, str], timeout_s: float) -> None:
    """Send messages and see them read.

    Parameters
    ----------
    files : (ca_file, client_certificate, client_key)

    Raises
    ------
    PeerUnreachable, PeerRefused
        Some of them may have arrived; send all again.
    """
    context = tls_context("audit", *files)
    try:
        with (
            socket.create_connection((host, port), timeout=timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            for message in messages:
                connection.sendall(b"%d %b" % (len(message), message))
            with suppress(ssl.SSLEOFError):  # it ended its side without a notice, and so after it had read ours
                connection.unwrap()
    except OSError as error:
        why = why_not_connected(error, "audit.host and audit.port", "plain syslog")
        if isinstance(error, ssl.SSLError):
            raise PeerRefused(f"The audit record repository at {host}:{port} was not reached{why or '.'}") from None
        raise PeerUnreachable(
            f"The audit record repository at {host}:{port} does not answer{why or f' ({error.strerror or error}).'} "
            "The journal waits and is sent when it does."
        ) from None


def _word(text: str, most: int) -> str:
    kept = "".join(sign for sign in text if "!" <= sign <= "~")[:most]
    return kept or "-"
