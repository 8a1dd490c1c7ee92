"""DICOM over TLS: the profile of PS3.15 B.12 (BCP 195: RFC 8996 and 9325), as acceptor and as requestor.

TLS 1.2 and 1.3, forward secrecy and authenticated encryption only, keys and signatures of 112 bits of security or
more, no compression, no renegotiation. Files are looked at for each connection and read when they have changed, so that
a renewed certificate is used without a restart; one that the acceptor cannot use leaves the one before in its place.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ichnode.errors import ConfigError, PeerRefused
from ichnode.log import get_logger
from ichnode.trust import MadeOfFiles, state_of, trusted_here

log = get_logger(__name__)

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
"""Of TLS 1.2. The three suites of TLS 1.3 that OpenSSL offers by default are all of this kind."""

_HANDSHAKES = {
    "UNSUPPORTED_PROTOCOL": "It offers only TLS 1.1 or older: update it, or let it call the port without TLS.",
    "WRONG_VERSION_NUMBER": "It does not speak TLS: switch TLS on there, or let it call the port without TLS.",
    "NO_SHARED_CIPHER": "It offers no cipher of BCP 195 (ECDHE with AES-GCM or ChaCha20): allow one there.",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "It does not know the kind of the node's key: update it, or use an RSA key.",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "It showed no certificate: give it one that an authority of tls.ca_file "
    "issued, or set tls.require_certificate = false.",
    "EE_KEY_TOO_SMALL": "Its certificate has a key that is too short: have one issued with RSA of 2048 bits or more.",
}
_THEY_SAID = "It broke off with {alert}: let it trust the authority that issued tls.certificate."


_STOCK = 4
"""Contexts that are made before a connection needs them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Files in PEM: the node's certificate and key, and whom it trusts. An empty key lies with the certificate."""

    certificate: str
    key: str = ""
    ca_file: str = ""

    @property
    def files(self) -> tuple[str, str, str]:
        """The names, empty ones included."""
        return self.certificate, self.key, self.ca_file


@dataclass(frozen=True, slots=True)
class Trust:
    """How the node calls a peer over TLS.

    Attributes
    ----------
    identity : Identity
        Without a certificate the node shows none; without ``ca_file`` it trusts whom this machine trusts.
    name : str
        That the peer's certificate has to hold; empty: its host.
    fingerprint : str
        SHA-256 of the only certificate that is taken, whoever issued it; empty: by authority and name.
    """

    identity: Identity = Identity("")
    name: str = ""
    fingerprint: str = ""


class SecurePort:
    """What the acceptor needs for each connection of its TLS port.

    Each connection has a context of its own, since Python cannot switch off OpenSSL's cache of sessions: with the same
    context a session of TLS 1.2 would be resumed by its ID. To read PEM files takes milliseconds, a tenth of a second
    with a machine's whole list of authorities: a thread makes contexts in advance, so that no handshake waits for it.

    Parameters
    ----------
    identity : Identity
    require_certificate : bool
        Mutual authentication.

    Raises
    ------
    ConfigError
        A file cannot be used.
    """

    def __init__(self, identity: Identity, require_certificate: bool = True) -> None:
        self._identity, self._require = identity, require_certificate
        self._lock = threading.Lock()
        self._seen = state_of(identity.files)
        self._context = acceptor_context(identity, require_certificate)
        self._maker = ThreadPoolExecutor(1, "tls")
        self._stock: deque[Future[ssl.SSLContext]] = deque()
        self._refill()

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """Take a connection over, without a handshake yet."""
        return self._fresh_context().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def _fresh_context(self) -> ssl.SSLContext:
        """Return a context for one connection; as long as the files cannot be used the context before serves all."""
        if self.look():
            with self._lock:
                made = self._stock.popleft()
                self._refill()
            with contextlib.suppress(ConfigError):  # They change just now: the next look says so.
                return made.result()
        return self._context

    def _refill(self) -> None:
        while len(self._stock) < _STOCK:
            self._stock.append(self._maker.submit(acceptor_context, self._identity, self._require))

    def look(self) -> bool:
        """Use the files anew where they have changed; tell whether what is used is what lies there."""
        with self._lock:
            now = state_of(self._identity.files)
            if now == self._seen:
                return True
            try:
                self._context = acceptor_context(self._identity, self._require)
            except ConfigError as error:
                # Not remembered as seen: a file that is half written is whole the next time.
                log.warning("certificate.not_loaded", code=error.code, remedy=error.sentence)
                return False
            self._seen = now
            self._stock.clear()
            self._refill()
        log.info("certificate.loaded", file=self._identity.certificate)
        return True


def acceptor_context(identity: Identity, require_certificate: bool = True) -> ssl.SSLContext:
    """Return the TLS of the acceptor.

    Raises
    ------
    ConfigError
        A file cannot be used.
    """
    context = _profile(ssl.PROTOCOL_TLS_SERVER)
    if refused := _load(context, identity, "tls.certificate", "tls.key", "tls.ca_file"):
        raise ConfigError(refused, "TLS_FILES")
    if identity.ca_file:
        context.verify_mode = ssl.CERT_REQUIRED if require_certificate else ssl.CERT_OPTIONAL
    # Each association is a handshake of its own: a certificate that was withdrawn opens nothing from memory.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


_CALLING: MadeOfFiles[ssl.SSLContext] = MadeOfFiles()


def calling_context(name: str, trust: Trust, connection: type[ssl.SSLSocket]) -> ssl.SSLContext:
    """Return `requestor_context`, one for all calls with the same trust; another one once a file has changed.

    Parameters
    ----------
    connection : type
        Of the sockets that are made with it.
    """

    def make() -> ssl.SSLContext:
        context = requestor_context(name, trust)
        context.sslsocket_class = connection
        return context

    ours = trust.identity.files
    watched = ours if trust.identity.ca_file or trust.fingerprint else (*trusted_here(), *ours)
    return _CALLING.get((trust, connection), watched, make)


def requestor_context(name: str, trust: Trust) -> ssl.SSLContext:
    """Return the TLS for calling a peer; the files are read now.

    Raises
    ------
    PeerRefused
        A file cannot be used.
    """
    context = _profile(ssl.PROTOCOL_TLS_CLIENT)
    if refused := _load(context, trust.identity, "client_certificate", "client_key", "ca_file"):
        raise PeerRefused(f"{name}: {refused}")
    if trust.fingerprint:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # `has_fingerprint` decides, right after the handshake
    elif not trust.identity.ca_file:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def offered() -> tuple[tuple[str, str], ...]:
    """Return each protocol with a cipher suite that is offered for it, as OpenSSL calls them."""
    found = _profile(ssl.PROTOCOL_TLS_SERVER).get_ciphers()
    return tuple(sorted(((str(one["protocol"]), str(one["name"])) for one in found), reverse=True))


def has_fingerprint(connection: ssl.SSLSocket, fingerprint: str) -> bool:
    """Tell whether the peer showed just this certificate; TLS has proven that it has the key."""
    encoded = connection.getpeercert(binary_form=True)
    return encoded is not None and hashlib.sha256(encoded).hexdigest() == fingerprint


def why_no_handshake(error: OSError) -> tuple[str, str]:
    """Return a code and a remedy for a handshake that a peer of the TLS port did not come through."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message
        return "TLS_CERTIFICATE", f"Its certificate is not taken ({said}): {_about(error.verify_code)}."
    reason = getattr(error, "reason", None) or ""
    if "ALERT" in reason:
        return "TLS_ALERT", _THEY_SAID.format(alert=reason.partition("ALERT_")[2].replace("_", " ").lower())
    return "TLS_HANDSHAKE", _HANDSHAKES.get(reason, f"The TLS handshake failed ({reason or 'broken off'}).")


def say_goodbye(connection: socket.socket) -> None:
    """Send TLS's close_notify where there is TLS (RFC 8446 6.1), and then no more; reading goes on."""
    if isinstance(connection, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):
            connection.unwrap()
    socket.socket.shutdown(connection, socket.SHUT_WR)


def _profile(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _load(context: ssl.SSLContext, identity: Identity, certificate: str, key: str, ca_file: str) -> str:
    """Load the files; return a sentence about the first that cannot be used."""
    if identity.certificate:
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(identity.certificate, identity.key or None, password=lambda: b"")
        except OSError as error:
            files = " and ".join(filter(None, (identity.certificate, identity.key)))
            why = getattr(error, "reason", None) or error.strerror
            return (
                f"{certificate} and {key} ({files}) are not a readable PEM certificate and its unencrypted key "
                f"({why}). Correct them."
            )
    if identity.ca_file:
        try:
            context.load_verify_locations(identity.ca_file)
        except OSError as error:
            why = getattr(error, "reason", None) or error.strerror
            return f"{ca_file} {identity.ca_file} is not a readable PEM file ({why}). Correct it."
    return ""


def _about(verify_code: int) -> str:
    if verify_code == 9:  # X509_V_ERR_CERT_NOT_YET_VALID
        return "look at the clocks here and there"
    if verify_code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
        return "renew it there, and look at the clock here"
    if verify_code == 26:  # X509_V_ERR_INVALID_PURPOSE
        return "have one issued that is for client authentication, too"
    return "add the authority that issued it to tls.ca_file, or give the peer one of an authority that is there"
