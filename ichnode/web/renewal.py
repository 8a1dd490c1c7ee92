"""The certificate of the pages is taken up from its file when it was renewed, without a restart."""

from __future__ import annotations

import ssl

from ichnode.errors import ConfigError
from ichnode.log import get_logger
from ichnode.trust import state_of

log = get_logger(__name__)


def renewing(certificate: str, key: str) -> ssl.SSLContext:
    """Return the TLS of the pages; at each handshake it looks whether its files have changed.

    Files that cannot be used leave those before in use. All handshakes are in the thread of the server's loop.

    Parameters
    ----------
    certificate, key : str
        PEM files; an empty key lies with the certificate.

    Raises
    ------
    ConfigError
        They cannot be used.
    """
    seen = state_of((certificate, key))
    try:
        used = first = _context(certificate, key)
    except OSError as error:
        raise ConfigError(_remedy(error)) from None

    def look(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        nonlocal seen, used
        now = state_of((certificate, key))
        if now != seen:
            try:
                used, seen = _context(certificate, key), now
            except OSError as error:  # not remembered as seen: a file that is half written is whole the next time
                log.warning("certificate.not_loaded", remedy=_remedy(error))
            else:
                log.info("certificate.loaded", file=certificate)
        connection.context = used

    first.sni_callback = look
    return first


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Without a password OpenSSL would ask for one on the terminal.
    context.load_cert_chain(certificate, key or None, password=lambda: b"")
    return context


def _remedy(error: OSError) -> str:
    why = getattr(error, "reason", None) or error.strerror
    return f"web.certificate cannot be used: {why}. Give PEM files of a certificate and its key, not encrypted."
