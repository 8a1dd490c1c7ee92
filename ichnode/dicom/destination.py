"""A destination, by whichever way it is reached: C-STORE or STOW-RS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ichnode.dicom.requestor import Remote
from ichnode.dicom.scu import echo, store
from ichnode.dicom.secure import Identity, Trust
from ichnode.dicom.store_answers import Alternatives, StoreAnswer
from ichnode.dicom.stow import stow
from ichnode.dicom.web import web_echo
from ichnode.https import WebRemote
from ichnode.sections import DestinationSection
from ichnode.source_section import SourceSection
from ichnode.tls_section import TlsSection


def remote_of(
    destination: DestinationSection, calling_aet: str, timeout_s: float, tls: TlsSection | None = None
) -> Remote | WebRemote:
    """Return a destination as the wire needs it.

    Parameters
    ----------
    destination : DestinationSection
    calling_aet : str
        AE title of the node; a service on the web has no use for it.
    timeout_s : float
        Longest wait for an answer.
    tls : TlsSection, optional
        How the node shows itself, and whom it trusts, where the destination does not say.
    """
    d = destination
    if not d.url:
        return Remote(
            d.name, d.aet, d.host, d.port, calling_aet, timeout_s=timeout_s, trust=trust_of(d, tls or TlsSection())
        )
    return WebRemote(
        d.name, d.url, d.token_file, d.user, d.password_file, d.ca_file, d.client_certificate, d.client_key,
        timeout_s=timeout_s,
    )  # fmt: skip


def source_of(source: SourceSection, calling_aet: str, timeout_s: float, tls: TlsSection) -> Remote:
    """Return the source as the wire needs it; `timeout_s` is for the connection, too."""
    return Remote(
        "source", source.aet, source.host, source.port, calling_aet,
        timeout_s=timeout_s, connect_timeout_s=timeout_s, trust=trust_of(source, tls),
    )  # fmt: skip


def trust_of(called: DestinationSection | SourceSection, tls: TlsSection) -> Trust | None:
    """Return how a peer is called over TLS; None for one that is called without."""
    if not called.tls:
        return None
    own = (called.client_certificate, called.client_key) if called.client_certificate else (tls.certificate, tls.key)
    ca_file = "" if called.fingerprint else called.ca_file or tls.ca_file
    return Trust(Identity(*own, ca_file), called.certificate_name, called.fingerprint)


def ask_whether_there(remote: Remote | WebRemote) -> None:
    """Ask a destination whether it is there: by C-ECHO, or by a query that finds nothing.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    if isinstance(remote, WebRemote):
        web_echo(remote)
    else:
        echo(remote)


def give(
    remote: Remote | WebRemote,
    files: Sequence[Path],
    on_answer: Callable[[Path, int | None], None] | None = None,
    alternatives: Alternatives | None = None,
    ending: Callable[[], bool] = lambda: False,
) -> list[StoreAnswer]:
    """Give files to a destination; see `store` and `stow`.

    Raises
    ------
    PeerUnreachable, PeerRefused
        It took nothing at all.
    """
    if isinstance(remote, WebRemote):
        return stow(remote, files, on_answer, alternatives, ending)
    return store(remote, files, on_answer, alternatives, ending)


def address_of(remote: Remote | WebRemote) -> str:
    """Return where a destination is, for people."""
    if isinstance(remote, WebRemote):
        return remote.url
    return f"{remote.aet} at {remote.host}:{remote.port}{' over TLS' if remote.trust else ''}"
