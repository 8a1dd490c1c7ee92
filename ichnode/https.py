"""A service that the node calls over HTTP: credentials, TLS, one request and its bounded answer."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from ichnode import __version__
from ichnode.errors import PeerBusy, PeerRefused, PeerUnreachable
from ichnode.trust import causes, secret_in, tls_context, why_not_connected

MOST_ANSWER_BYTES = 1 << 20
"""An answer about one instance has some hundred bytes."""

_REDIRECTS = (301, 302, 303, 307, 308)
_BUSY = (408, 429, 502, 503, 504, 507)


@dataclass(frozen=True, slots=True)
class WebRemote:
    """A service on the web that the node calls.

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
    service : str
        What it is asked for, for sentences.
    accept : str
        Media type of its answers.
    most_answer_bytes : int
        Of a longer answer nothing is read.
    shown : str
        What sentences show instead of the url, where the url itself is a secret.
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
    service: str = "STOW-RS"
    accept: str = "application/dicom+json"
    most_answer_bytes: int = MOST_ANSWER_BYTES
    shown: str = ""


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """An HTTP answer. `body` is None where it was longer than `WebRemote.most_answer_bytes`."""

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
        "Accept": web.accept,
        "Accept-Encoding": "identity",
    }
    auth = None
    if web.token_file:
        headers["Authorization"] = f"Bearer {secret_in(web.name, 'token_file', web.token_file, ascii_only=True)}"
    elif web.user:
        auth = httpx2.BasicAuth(web.user, secret_in(web.name, "password_file", web.password_file))
    timeout = httpx2.Timeout(web.timeout_s, connect=web.connect_timeout_s)
    with httpx2.Client(headers=headers, auth=auth, verify=_trust(web), timeout=timeout, trust_env=False) as client:
        yield client


def ask(
    web: WebRemote, client: httpx2.Client, method: str, path: str,
    content: Iterable[bytes] | None = None, headers: Mapping[str, str] | None = None,
) -> WebAnswer:  # fmt: skip
    """Make one request below the root of the service, or with an empty path at its very url; read its whole answer.

    Raises
    ------
    PeerUnreachable
        No connection, no answer, or it has no time now (`PeerBusy`).
    PeerRefused
        It does not take the node's credentials, or has no such service there.
    """
    with asking(web, client, method, path, content, headers) as response:
        answer = WebAnswer(response.status_code, _bounded(web, response))
        _check(web, answer.code, response.headers.get("Retry-After", ""))
    return answer


@contextmanager
def asking(
    web: WebRemote, client: httpx2.Client, method: str, path: str,
    content: Iterable[bytes] | None = None, headers: Mapping[str, str] | None = None,
) -> Iterator[httpx2.Response]:  # fmt: skip
    """Make one request and yield its answer unread; what breaks while it is read is raised as `ask` does."""
    url = web.url.rstrip("/") + path if path else web.url
    try:
        with client.stream(method, url, content=content, headers=headers) as response:
            yield response
    except httpx2.InvalidURL:
        raise PeerRefused(f"{_called(web)}: the url cannot be used. Correct it.") from None
    except httpx2.ConnectTimeout:
        said = f"no connection within {web.connect_timeout_s:g} s. Check url, and that the service is running."
        raise PeerUnreachable(f"{_called(web)}: {said}") from None
    except httpx2.ReadTimeout as error:  # it has taken the request
        raise NoAnswer(_too_late(web)) from error
    except httpx2.TimeoutException as error:
        raise PeerUnreachable(_too_late(web)) from error
    except (httpx2.ReadError, httpx2.RemoteProtocolError) as error:
        raise NoAnswer(f"{_called(web)}{_broken(error)}") from None
    except httpx2.TransportError as error:
        raise PeerUnreachable(f"{_called(web)}{_broken(error)}") from None


def check(web: WebRemote, response: httpx2.Response) -> None:
    """Raise as `ask` does where an answer is about the service as a whole."""
    _check(web, response.status_code, response.headers.get("Retry-After", ""))


class NoAnswer(PeerUnreachable):
    """The service took the request, and did not answer it, or not to the end; it may answer others."""


class NoSuchService(PeerRefused):
    """There is an HTTP server, and nothing that takes this request at this path.

    Parameters
    ----------
    status : int
        The HTTP status that says so: 404, 405 or 501.
    """

    code = "NO_SUCH_SERVICE"

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


def _check(web: WebRemote, code: int, retry_after: str) -> None:
    """Raise where an answer is about the service as a whole, and not about what was sent."""
    if code in (401, 403):
        setting = "token_file" if web.token_file else "password_file" if web.user else "token_file or user"
        advice = f"renew what {setting} holds, or give the account the right to use {web.service} there"
        if code == 401 and not (web.token_file or web.user):
            advice = "set token_file, or user and password_file"
        raise PeerRefused(f"{_called(web)} does not let the node in (HTTP {code}): {advice}.")
    if code in _REDIRECTS:
        raise PeerRefused(f"{_called(web)} sends the node elsewhere (HTTP {code}): put the right address into url.")
    if code in (404, 405, 501):
        raise NoSuchService(
            f"{_called(web)} has no such service (HTTP {code}): correct url, or enable {web.service} there.", code
        )
    if code in _BUSY:
        again_in_s = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
        raise PeerBusy(f"{_called(web)} cannot now (HTTP {code}). It may pass by itself.", again_in_s)


def _bounded(web: WebRemote, response: httpx2.Response) -> bytes | None:
    end = time.monotonic() + web.timeout_s
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > web.most_answer_bytes:
            return None
        if time.monotonic() > end:
            raise PeerUnreachable(_too_late(web))
    return bytes(body)


def _trust(web: WebRemote) -> ssl.SSLContext | bool:
    """Return whom the node trusts and with which certificate it shows itself."""
    if urlsplit(web.url).scheme == "http":
        return False  # No TLS at all; making a context would read every authority of this machine.
    return tls_context(web.name, web.ca_file, web.client_certificate, web.client_key)


def _broken(error: BaseException) -> str:
    """Return the end of a sentence: why there is no connection."""
    if (said := why_not_connected(error, "url")) is not None:
        return said
    if any(isinstance(cause, httpx2.ConnectError) for cause in causes(error)):
        return ": no connection. Check url, and that the service is running."
    if isinstance(error, httpx2.RemoteProtocolError):
        return ": it ended the connection, or does not speak HTTP. Look at its log, and check url."
    return ": it ended the connection. Look at its log."


def _too_late(web: WebRemote) -> str:
    return f"{_called(web)} did not answer within {web.timeout_s:g} s."


def _called(web: WebRemote) -> str:
    return f"{web.name} ({web.shown or web.url})"
