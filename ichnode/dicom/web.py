"""Whether a DICOMweb service is there (PS3.18)."""

from __future__ import annotations

from ichnode.core.identity import IMPLEMENTATION_CLASS_UID
from ichnode.errors import PeerUnreachable
from ichnode.https import NoSuchService, WebRemote, ask, connected


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
            raise PeerUnreachable(f"{web.name} ({web.url}) answers with HTTP {answer.code}. Look at its log.")
