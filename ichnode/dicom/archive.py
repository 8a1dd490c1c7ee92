"""The archive of `[source]`, by whichever way it is reached: DIMSE or DICOMweb."""

from __future__ import annotations

from collections.abc import Callable

from ichnode.core.wanted import Listed, ListedStudy
from ichnode.dicom import find, qido
from ichnode.dicom.destination import source_of
from ichnode.dicom.find import StudyQuery
from ichnode.dicom.requestor import Remote
from ichnode.dicom.retrieve import Ending, Retrieved, Take, get, move
from ichnode.dicom.wado import wado
from ichnode.https import WebRemote
from ichnode.source_section import SourceSection
from ichnode.tls_section import TlsSection

__all__ = ["StudyQuery", "list_series", "retrieve", "series_count", "source_remote"]


def source_remote(source: SourceSection, calling_aet: str, timeout_s: float, tls: TlsSection) -> Remote | WebRemote:
    """Return the source as the wire needs it."""
    s = source
    if not s.url:
        return source_of(s, calling_aet, timeout_s, tls)
    return WebRemote(
        "source", s.url, s.token_file, s.user, s.password_file, s.ca_file, s.client_certificate, s.client_key,
        timeout_s=timeout_s, connect_timeout_s=min(timeout_s, 10.0), service="QIDO-RS and WADO-RS",
    )  # fmt: skip


def list_series(
    remote: Remote | WebRemote, query: StudyQuery, chosen: Callable[[ListedStudy], bool] = lambda study: True
) -> list[Listed]:
    """Ask for the CT series of some studies.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    if isinstance(remote, WebRemote):
        return qido.query_series(remote, query, chosen)
    return find.find_series(remote, query, chosen)


def series_count(remote: Remote | WebRemote, study_uid: str, series_uid: str) -> int | None:
    """Ask how many images a series has; None where the archive does not tell.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    if isinstance(remote, WebRemote):
        return qido.query_count(remote, study_uid, series_uid)
    return find.series_count(remote, study_uid, series_uid)


def retrieve(
    remote: Remote | WebRemote, how: str, study_uid: str, series_uid: str, take: Take, most_bytes: int,
    ending: Ending = lambda: False,
) -> Retrieved:  # fmt: skip
    """Fetch one series by c-move, c-get or wado-rs; broken off between two images once `ending` says so.

    Raises
    ------
    PeerUnreachable, PeerRefused
        It cannot be asked at all; what went wrong with this series alone is in the answer.
    """
    if isinstance(remote, WebRemote):
        return wado(remote, study_uid, series_uid, take, most_bytes, ending)
    if how == "c-move":
        return move(remote, study_uid, series_uid, ending)
    return get(remote, study_uid, series_uid, take, ending)
