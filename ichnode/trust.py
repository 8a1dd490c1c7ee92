"""What a connection needs besides an address: secrets from files, whom to trust, and why there is none, in words.

For everything that the node calls over TLS, whatever it speaks there.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from ichnode.errors import PeerRefused

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_OTHER_NAME = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""
_OUT_OF_TIME = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


T = TypeVar("T")
State = tuple[tuple[int, ...], ...]
_MOST_MADE = 64


class MadeOfFiles(Generic[T]):
    """What is costly to make of files, made anew once one of them has changed; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[Hashable, tuple[State, T]] = {}

    def get(self, key: Hashable, files: Sequence[str], make: Callable[[], T]) -> T:
        """Return what was made for `key`, or make it; what `make` raises is raised, and nothing is kept then."""
        with self._lock:
            now = state_of(files)  # before it is made: what changes meanwhile is seen the next time
            known = self._made.get(key)
            if known is not None and known[0] == now:
                return known[1]
            made = make()
            if len(self._made) >= _MOST_MADE:  # of configurations that are no more
                self._made.clear()
            self._made[key] = now, made
            return made


def state_of(files: Sequence[str]) -> State:
    """Return what changes when one of the files does; empty names are left out."""
    states: list[tuple[int, ...]] = []
    for file in filter(None, files):
        try:
            found = Path(file).stat()
        except OSError:
            states.append((0,))
        else:
            states.append((found.st_ino, found.st_size, found.st_mtime_ns))
    return tuple(states)


def trusted_here() -> tuple[str, ...]:
    """Return where the authorities lie that this machine trusts."""
    paths = ssl.get_default_verify_paths()
    return tuple(filter(None, (paths.cafile, paths.capath)))


_CONTEXTS: MadeOfFiles[ssl.SSLContext] = MadeOfFiles()


def secret_in(name: str, setting: str, file: str, *, ascii_only: bool = False) -> str:
    """Return what a file of credentials holds, without the end of its line; never part of a sentence.

    Parameters
    ----------
    name : str
        Of the peer, for sentences.
    setting : str
        Of the configuration, that names the file.

    Raises
    ------
    PeerRefused
        It cannot be read, or does not hold one line of text.
    """
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not text"
        raise PeerRefused(f"{name}: {setting} {file} cannot be read ({said}). Correct it.") from None
    if not secret or not secret.isprintable() or (ascii_only and not secret.isascii()):
        raise PeerRefused(f"{name}: {setting} {file} does not hold one line of text. Write it anew.")
    return secret


def tls_context(name: str, ca_file: str, client_certificate: str, client_key: str) -> ssl.SSLContext:
    """Return whom the node trusts and with which certificate it shows itself; empty is what this machine trusts.

    One for all calls with the same files, not to be changed; another one once a file has changed.

    Raises
    ------
    PeerRefused
        A file cannot be used.
    """
    files = ca_file, client_certificate, client_key
    watched = files if ca_file else (*trusted_here(), *files)
    return _CONTEXTS.get(files, watched, partial(_tls_context, name, *files))


def _tls_context(name: str, ca_file: str, client_certificate: str, client_key: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError:
        raise PeerRefused(f"{name}: ca_file {ca_file} is not a readable PEM file. Correct it.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_certificate:
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(client_certificate, client_key or None, password=lambda: b"")
        except OSError:
            files = " and ".join(filter(None, (client_certificate, client_key)))
            raise PeerRefused(
                f"{name}: client_certificate and client_key ({files}) are not a readable PEM certificate and its "
                "unencrypted key. Correct them."
            ) from None
    return context


def why_not_connected(error: BaseException, address: str, plain: str = "plain HTTP", name: str = "") -> str | None:
    """Return the end of a sentence: what the operating system or OpenSSL said; None where it was neither.

    Parameters
    ----------
    address : str
        The settings that hold the address.
    plain : str
        What a peer without TLS would speak.
    name : str
        The setting that holds the name of its certificate, where that is not `address`.
    """
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _OTHER_NAME:
                setting = name or address
                return (
                    f": its certificate is for another host name. Put that name into {setting}, or have it issued anew."
                )
            if cause.verify_code in _OUT_OF_TIME:
                return ": its certificate has expired or is not valid yet. Renew it there, and look at the clock here."
            return f": its certificate is not trusted ({cause.verify_message}). Set ca_file to its authority."
        if isinstance(cause, ssl.SSLError):
            reason = cause.reason or "broken off"
            return f": no TLS ({reason}). {_tls_advice(cause.reason or '', address, plain)}"
        if isinstance(cause, socket.gaierror):
            return f": the host name is unknown. Check {address}."
    return None


def is_fingerprint(text: str) -> bool:
    """Tell whether a text is a SHA-256 fingerprint as `plain_fingerprint` writes it."""
    return _FINGERPRINT.fullmatch(text) is not None


def plain_fingerprint(text: str) -> str:
    """Return a SHA-256 fingerprint as 64 lower-case digits, however openssl or a browser wrote it.

    Raises
    ------
    ValueError
        It is none.
    """
    digits = text.lower().rpartition("=")[2].replace(":", "").replace(" ", "")
    if not is_fingerprint(digits):
        raise ValueError(
            f"{text!r} is no SHA-256 fingerprint: take what `openssl x509 -noout -fingerprint -sha256 -in FILE` says"
        )
    return digits


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and everything that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _tls_advice(reason: str, address: str, plain: str) -> str:
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
        return f"It may speak {plain} on this port: check {address}."
    if "ALERT" in reason:  # The peer said so, and in most cases of the node's own certificate.
        return "It may ask for a certificate of this node: set client_certificate and client_key to one it trusts."
    return "Look at its log."
