"""The performer's side of the Worklist Service, UPS-RS: search, retrieve, update, change state (PS3.18 11)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
from pydicom.dataset import Dataset

from ichnode.core.identity import is_uid
from ichnode.core.workitem import SCHEDULED, CodedEntry, Workitem
from ichnode.dicom.qido import pages
from ichnode.dicom.workitem_json import read_workitem
from ichnode.errors import PeerRefused
from ichnode.https import NoSuchService, WebAnswer, WebRemote, ask, connected
from ichnode.workitems_section import WorkitemsSection, coded_entry

_PAGE = 25
_MOST_BYTES = 16 << 20
"""A reference to an image has some 200 bytes; an item may have thousands, and a page 25 items."""
_JSON = {"Content-Type": "application/dicom+json"}


class Said(Enum):
    """What the service says to a change."""

    DONE = "done"
    CONFLICT = "conflict"
    """It does not fit the item's state, or the Transaction UID is not the one under which it was claimed."""
    GONE = "gone"
    BROKEN = "broken"
    """The service failed over this one."""


def workitems_remote(section: WorkitemsSection, timeout_s: float) -> WebRemote:
    """Return the service as the wire needs it."""
    s = section
    return WebRemote(
        "workitems", s.url, s.token_file, s.user, s.password_file, s.ca_file, s.client_certificate, s.client_key,
        timeout_s=timeout_s, connect_timeout_s=min(timeout_s, 10.0), service="UPS-RS", most_answer_bytes=_MOST_BYTES,
    )  # fmt: skip


def search(web: WebRemote, codes: tuple[str, ...], station: str) -> Iterator[Workitem]:
    """Ask for work items that are scheduled for some codes, one question for each, and a station (PS3.18 11.9).

    Parameters
    ----------
    codes, station : str
        As ``VALUE^SCHEME``; empty: any.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    keys = {"ProcedureStepState": SCHEDULED, "InputReadinessState": "READY"}
    if station:
        keys |= _code_keys("ScheduledStationNameCodeSequence", coded_entry(station))
    with connected(web) as client:
        for code in codes or ("",):
            more = _code_keys("ScheduledWorkitemCodeSequence", coded_entry(code)) if code else {}
            for answer in pages(web, client, "/workitems", keys | more, (), _PAGE):
                found = read_workitem(answer)
                if is_uid(found.uid):
                    yield found


def retrieve(web: WebRemote, uid: str) -> Workitem | None:
    """Return a work item as it is now (PS3.18 11.5); None where there is none. An unreadable one has no state.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    with connected(web) as client:
        try:
            answer = ask(web, client, "GET", _path(uid))
        except NoSuchService as error:
            if _has(web, client, uid, error):
                raise
            return None
    if answer.code == 410:
        return None
    try:
        said: Any = json.loads(answer.body or b"")
        if isinstance(said, list):  # some services wrap it, as the results of a search are
            (said,) = said
    except (ValueError, RecursionError):
        said = None
    if answer.code != 200 or not isinstance(said, dict):
        return Workitem(uid, "")
    return replace(read_workitem(said), uid=uid)


def update(web: WebRemote, uid: str, transaction_uid: str, changes: Dataset) -> Said:
    """Change attributes of a work item that this node has claimed (PS3.18 11.6).

    The Transaction UID stands in the query, as PS3.18 has it, and in the data set, where dcm4chee reads it.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    changes.TransactionUID = transaction_uid
    path = f"{_path(uid)}?{urlencode({'transaction-uid': transaction_uid})}"
    return _change(web, uid, "POST", path, changes, "does not let its work items be updated: enable that there")


def change_state(web: WebRemote, uid: str, transaction_uid: str, state: str, requester: str = "") -> Said:
    """Claim a work item (IN PROGRESS), or end it (COMPLETED, CANCELED), under a Transaction UID (PS3.18 11.7).

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    change = Dataset()
    change.ProcedureStepState, change.TransactionUID = state, transaction_uid
    path = f"{_path(uid)}/state" + (f"/{quote(requester, safe='')}" if requester else "")
    advice = "correct requester" if requester else "set requester, which some services want"
    return _change(web, uid, "PUT", path, change, f"does not let the state of its work items be changed: {advice}")


def _change(web: WebRemote, uid: str, method: str, path: str, changes: Dataset, fault: str) -> Said:
    body = json.dumps(changes.to_json_dict()).encode()
    with connected(web) as client:
        try:
            answer = ask(web, client, method, path, [body], {**_JSON, "Content-Length": str(len(body))})
        except NoSuchService as error:
            if error.status == 404 and not _has(web, client, uid, error):
                return Said.GONE
            raise PeerRefused(f"{web.name} ({web.url}) {fault} (HTTP {error.status}).") from None
    return _said(answer)


def _has(web: WebRemote, client: httpx2.Client, uid: str, error: NoSuchService) -> bool:
    """Tell whether the service has an item at which it answered that there is nothing there.

    So answers a gateway as well while the service behind it is put in place anew, and a wrong url: the item is gone
    only where the service answers a search, and then has the item neither.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    if error.status != 404:
        raise error
    next(pages(web, client, "/workitems", {"ProcedureStepState": SCHEDULED}, (), 1), None)
    try:
        return ask(web, client, "GET", _path(uid)).code != 410
    except NoSuchService as again:
        if again.status != 404:
            raise
        return False


def _said(answer: WebAnswer) -> Said:
    if answer.code == 410:
        return Said.GONE
    if answer.code >= 500:
        return Said.BROKEN
    return Said.DONE if answer.code // 100 == 2 else Said.CONFLICT


def _path(uid: str) -> str:
    return f"/workitems/{quote(uid, safe='.')}"


def _code_keys(sequence: str, code: CodedEntry) -> dict[str, str]:
    return {f"{sequence}.CodeValue": code.value, f"{sequence}.CodingSchemeDesignator": code.scheme}
