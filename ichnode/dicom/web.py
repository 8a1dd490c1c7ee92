"""A DICOMweb service that the node calls: credentials, TLS, one request and its bounded answer (PS3.18 8)."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from ichnode import __version__
from ichnode.core.identity import IMPLEMENTATION_CLASS_UID
from ichnode.errors import PeerBusy, PeerRefused, PeerUnreachable

MOST_ANSWER_BYTES = 1 << 20
"""An answer about one instance has some hundred bytes."""

_REDIRECTS = (301, 302, 303, 307, 308)
_BUSY = (408, 429, 502, 503, 504, 507)
_OTHER_NAME = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""
_OUT_OF_TIME = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


@dataclass(frozen=True, slots=True)
class WebRemote:
    """A DICOMweb service that the node calls.

    Attributes
    ----------
    name : str
        As in the configuration, for sentences.
    url : str
        Root of the service.
    token_file, user, password_file, ca_file, client_certificate, client_key : str
        As in the configuration; empty where not used. The files are read anew for each attempt.
    timeout_s : float
        Longest wait for an answer, and for a byte inside one.
    connect_timeout_s : float
        Longest wait for the connection.
    """

    name: str
    url: str
    token_file: str = ""
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    client_certificate: str = ""
    client_key: str = ""
    timeout_s: float = 30.0
    connect_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """An HTTP answer. `body` is None where it was longer than `MOST_ANSWER_BYTES`."""

    code: int
    body: bytes | None


@contextmanager
def connected(web: WebRemote) -> Iterator[httpx2.Client]:
    """Open a client with the credentials and the trust of a remote, and close its connections afterwards.

    No redirect is followed, so that a token never reaches another host, and nothing is taken from the environment:
    neither proxy nor password of ``.netrc``.

    Raises
    ------
    PeerRefused
        A file of credentials or certificates cannot be used.
    """
    headers = {
        "User-Agent": f"ichnode/{__version__}",
        "Accept": "application/dicom+json",
        "Accept-Encoding": "identity",
    }
    auth = None
    if web.token_file:
        headers["Authorization"] = f"Bearer {_secret(web, 'token_file', web.token_file)}"
    elif web.user:
        auth = httpx2.BasicAuth(web.user, _secret(web, "password_file", web.password_file))
    timeout = httpx2.Timeout(web.timeout_s, connect=web.connect_timeout_s)
    with httpx2.Client(headers=headers, auth=auth, verify=_trust(web), timeout=timeout, trust_env=False) as client:
        yield client


def ask(
    web: WebRemote, client: httpx2.Client, method: str, path: str,
    content: Iterable[bytes] | None = None, headers: Mapping[str, str] | None = None,
) -> WebAnswer:  # fmt: skip
    """Make one request below the root of the service and read its whole answer.

    Raises
    ------
    PeerUnreachable
        No connection, no answer, or it has no time now (`PeerBusy`).
    PeerRefused
        It does not take the node's credentials, or has no such service there.
    """
    try:
        with client.stream(method, web.url.rstrip("/") + path, content=content, headers=headers) as response:
            answer = WebAnswer(response.status_code, _bounded(web, response))
    except httpx2.InvalidURL:
        raise PeerRefused(f"{_called(web)}: the url cannot be used. Correct it.") from None
    except httpx2.ConnectTimeout:
        said = f"no connection within {web.connect_timeout_s:g} s. Check url, and that the service is running."
        raise PeerUnreachable(f"{_called(web)}: {said}") from None
    except httpx2.TimeoutException as error:
        raise PeerUnreachable(_too_late(web)) from error
    except httpx2.TransportError as error:
        raise PeerUnreachable(f"{_called(web)}{_broken(error)}") from None
    _check(web, answer.code, response.headers.get("Retry-After", ""))
    return answer


def web_echo(web: WebRemote) -> None:
    """Ask a service whether it is there and knows the node: a query for a study that nobody has.

    Whatever it answers proves that it is up, but a refusal of the credentials; a service need not answer queries.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    query = f"/studies?StudyInstanceUID={IMPLEMENTATION_CLASS_UID}&limit=1"
    with connected(web) as client:
        try:
            answer = ask(web, client, "GET", query)
        except NoSuchService:
            return
        if answer.code >= 500:
            raise PeerUnreachable(f"{_called(web)} answers with HTTP {answer.code}. Look at its log.")


class NoSuchService(PeerRefused):
    """There is an HTTP server, and nothing that takes this request at this path."""

    code = "NO_SUCH_SERVICE"


def _check(web: WebRemote, code: int, retry_after: str) -> None:
    """Raise where an answer is about the service as a whole, and not about what was sent."""
    if code in (401, 403):
        setting = "token_file" if web.token_file else "password_file" if web.user else "token_file or user"
        advice = f"renew what {setting} holds, or give the account the right to store there"
        if code == 401 and not (web.token_file or web.user):
            advice = "set token_file, or user and password_file"
        raise PeerRefused(f"{_called(web)} does not let the node in (HTTP {code}): {advice}.")
    if code in _REDIRECTS:
        raise PeerRefused(f"{_called(web)} sends the node elsewhere (HTTP {code}): put the right address into url.")
    if code in (404, 405, 501):
        raise NoSuchService(f"{_called(web)} has no such service (HTTP {code}): correct url, or enable STOW-RS there.")
    if code in _BUSY:
        again_in_s = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
        raise PeerBusy(f"{_called(web)} cannot now (HTTP {code}). It may pass by itself.", again_in_s)


def _bounded(web: WebRemote, response: httpx2.Response) -> bytes | None:
    end = time.monotonic() + web.timeout_s
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > MOST_ANSWER_BYTES:
            return None
        if time.monotonic() > end:
            raise PeerUnreachable(_too_late(web))
    return bytes(body)


def _secret(web: WebRemote, setting: str, file: str) -> str:
    """Return what a file of credentials holds, without the end of its line; never part of a sentence."""
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not text"
        raise PeerRefused(f"{web.name}: {setting} {file} cannot be read ({said}). Correct it.") from None
    if not secret or not secret.isprintable() or (setting == "token_file" and not secret.isascii()):
        raise PeerRefused(f"{web.name}: {setting} {file} does not hold one line of text. Write it anew.")
    return secret


def _trust(web: WebRemote) -> ssl.SSLContext | bool:
    """Return whom the node trusts and with which certificate it shows itself."""
    if urlsplit(web.url).scheme == "http":
        return False  # No TLS at all; making a context would read every authority of this machine.
    try:
        context = ssl.create_default_context(cafile=web.ca_file or None)
    except OSError:
        raise PeerRefused(f"{web.name}: ca_file {web.ca_file} is not a readable PEM file. Correct it.") from None
    if web.client_certificate:
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(web.client_certificate, web.client_key or None, password=lambda: b"")
        except OSError:
            files = " and ".join(filter(None, (web.client_certificate, web.client_key)))
            raise PeerRefused(
                f"{web.name}: client_certificate and client_key ({files}) are not a readable PEM certificate and its "
                "unencrypted key. Correct them."
            ) from None
    return context


def _broken(error: BaseException) -> str:
    """Return the end of a sentence: why there is no connection, from what the operating system or OpenSSL said."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _OTHER_NAME:
                return ": its certificate is for another host name. Put that name into url, or have it issued anew."
            if cause.verify_code in _OUT_OF_TIME:
                return ": its certificate has expired or is not valid yet. Renew it there, and look at the clock here."
            return f": its certificate is not trusted ({cause.verify_message}). Set ca_file to its authority."
        if isinstance(cause, ssl.SSLError):
            return f": no TLS ({cause.reason or 'broken off'}). {_tls_advice(cause.reason or '')}"
        if isinstance(cause, socket.gaierror):
            return ": the host name is unknown. Check url."
    if any(isinstance(cause, httpx2.ConnectError) for cause in causes):
        return ": no connection. Check url, and that the service is running."
    if isinstance(error, httpx2.RemoteProtocolError):
        return ": it ended the connection, or does not speak HTTP. Look at its log, and check url."
    return ": it ended the connection. Look at its log."


def _tls_advice(reason: str) -> str:
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
        return "It may speak plain HTTP on this port: check url."
    if "ALERT" in reason:  # The peer said so, and in most cases of the node's own certificate.
        return "It may ask for a certificate of this node: set client_certificate and client_key to one it trusts."
    return "Look at its log."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _too_late(web: WebRemote) -> str:
    return f"{_called(web)} did not answer within {web.timeout_s:g} s."


def _called(web: WebRemote) -> str:
    return f"{web.name} ({web.url})"
