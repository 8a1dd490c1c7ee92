"""What an archive says that it has, over HTTP: QIDO-RS (PS3.18 10.6), read as `ichnode.dicom.find` reads C-FIND."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import httpx2

from ichnode.core.wanted import Listed, ListedStudy
from ichnode.dicom.find import MOST_STUDIES, StudyQuery, whole
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.https import NoSuchService, WebRemote, ask, connected

_PAGE = 100
_STUDY_FIELDS = ("00080020", "00080030", "00081030", "00100020", "00100030")
_SERIES_FIELDS = ("00080060", "0008103E", "00180015", "00201209")


def query_series(web: WebRemote, query: StudyQuery, chosen: Callable[[ListedStudy], bool]) -> list[Listed]:
    """Ask for CT studies, and for the series of those that are `chosen`.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    keys = {"ModalitiesInStudy": "CT"}
    if query.dates:
        keys["StudyDate"] = query.dates
    if query.patient_id:
        keys["PatientID"] = query.patient_id
    with connected(web) as client:
        studies: list[ListedStudy] = []
        for answer in pages(web, client, "/studies", keys, _STUDY_FIELDS):
            studies.append(_study(answer))
            if len(studies) > MOST_STUDIES:
                raise PeerRefused(f"{web.name} answers with more than {MOST_STUDIES} studies: ask for fewer days.")
        return [
            one
            for study in studies
            if study.study_instance_uid and chosen(study)
            for one in _series_of(web, client, study, {"Modality": "CT"})
        ]


def query_count(web: WebRemote, study_uid: str, series_uid: str) -> int | None:
    """Ask how many images a series has; as `ichnode.dicom.find.series_count`."""
    with connected(web) as client:
        found = _series_of(web, client, ListedStudy(study_uid), {"SeriesInstanceUID": series_uid})
        return next((one.images for one in found if one.series_instance_uid == series_uid), None)


def _series_of(web: WebRemote, client: httpx2.Client, study: ListedStudy, keys: Mapping[str, str]) -> Iterator[Listed]:
    path = f"/studies/{quote(study.study_instance_uid, safe='.')}/series"
    try:
        answers = list(pages(web, client, path, keys, _SERIES_FIELDS))
    except NoSuchService:  # which some say of a study that they do not have
        return
    for answer in answers:
        uid = text_of(answer, "0020000E")
        if uid:
            yield Listed(
                study.study_instance_uid, uid, text_of(answer, "00080060"), text_of(answer, "00180015"),
                study.description, text_of(answer, "0008103E"), whole(text_of(answer, "00201209")),
            )  # fmt: skip


def pages(
    web: WebRemote, client: httpx2.Client, path: str, keys: Mapping[str, str], fields: Sequence[str],
    size: int = _PAGE,
) -> Iterator[Mapping[str, Any]]:  # fmt: skip
    """Ask page by page; the end is a page that is not full, or one that says nothing new.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    seen: set[str] = set()
    offset = 0
    while True:
        # A field a parameter: some services do not split a list.
        asked = [*keys.items(), *(("includefield", tag) for tag in fields), ("limit", size), ("offset", offset)]
        answer = ask(web, client, "GET", f"{path}?{urlencode(asked)}")
        if answer.code == 204:
            return
        if answer.code >= 500:
            raise PeerUnreachable(f"{web.name} ({web.url}) answers a query with HTTP {answer.code}. Look at its log.")
        if answer.code not in (200, 206):  # the latter where there is more than it gives at once
            raise PeerRefused(f"{web.name} ({web.url}) does not take the query (HTTP {answer.code}). Look at its log.")
        if answer.body is None and size > 1:  # too much at once: one by one
            size = 1
            continue
        page = _read(web, answer.body)
        new = {key: one for one in page if (key := json.dumps(one, sort_keys=True)) not in seen}
        seen.update(new)
        yield from new.values()
        if len(page) < size or not new:
            return
        offset += len(page)


def _read(web: WebRemote, body: bytes | None) -> list[Mapping[str, Any]]:
    if body is None:
        raise PeerRefused(f"{web.name} ({web.url}) answers a query with too much at once: let it heed `limit`.")
    try:
        page = json.loads(body or b"[]")
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, list) or not all(isinstance(one, dict) for one in page):
        raise PeerRefused(f"{web.name} ({web.url}) does not answer a query in DICOM JSON. Correct url.")
    return page


def _study(answer: Mapping[str, Any]) -> ListedStudy:
    return ListedStudy(*(text_of(answer, tag) for tag in ("0020000D", *_STUDY_FIELDS)))


def text_of(answer: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an element in DICOM JSON as text; empty where there is none, or no plain one."""
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    if not isinstance(values, list) or not values or isinstance(values[0], dict | list) or values[0] is None:
        return ""
    return str(values[0]).strip()
