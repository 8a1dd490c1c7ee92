"""Fetching one series over HTTP: WADO-RS (PS3.18 10.4), each instance as the archive keeps it."""

from __future__ import annotations

from email.message import Message
from urllib.parse import quote

import httpx2
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from ichnode.dicom.header import parse_dataset, split_part10
from ichnode.dicom.retrieve import BROKEN_OFF, Ending, Instance, Retrieved, Take
from ichnode.errors import BadObject
from ichnode.https import NoSuchService, WebRemote, asking, check, connected

_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def wado(
    web: WebRemote, study_uid: str, series_uid: str, take: Take, most_bytes: int, ending: Ending = lambda: False
) -> Retrieved:
    """Fetch a series; the answer is read part by part, one instance in memory at a time.

    Parameters
    ----------
    take : callable
        Called for each instance.
    most_bytes : int
        Longest instance; a longer one ends the retrieval.
    ending : callable
        Asked for each piece of the answer; once it is true the retrieval is broken off.

    Raises
    ------
    PeerBusy, NoAnswer
        It cannot now, or does not begin to answer: this request, or any.
    PeerUnreachable, PeerRefused
        The service does not answer at all, or lets nobody in.
    """
    path = f"/studies/{quote(study_uid, safe='.')}/series/{quote(series_uid, safe='.')}"
    with connected(web) as client, asking(web, client, "GET", path, None, {"Accept": _ACCEPT}) as response:
        if response.status_code == 403:  # one who may look may not have this: about the path, not the service
            return Retrieved(f"{web.name} does not let the node have this series (HTTP 403): give it the right there.")
        try:
            check(web, response)
        except NoSuchService:
            return Retrieved(f"{web.name} says that it has no such series (HTTP {response.status_code}).")
        if response.status_code != 200:
            return Retrieved(f"{web.name} does not give the series (HTTP {response.status_code}). Look at its log.")
        return _read(web, response, take, most_bytes, ending)


class _Parts:
    """What the parser of the answer calls: parts become instances."""

    def __init__(self, take: Take, most_bytes: int) -> None:
        self._take, self._most_bytes = take, most_bytes
        self._part = bytearray()
        self.refused = 0
        self.too_long = False
        self.ended = False

    def begin(self) -> None:
        self._part = bytearray()

    def data(self, data: bytes, start: int, end: int) -> None:
        if len(self._part) + end - start > self._most_bytes:
            self.too_long = True
        else:
            self._part += data[start:end]

    def end_of_part(self) -> None:
        if self.too_long:
            return
        try:
            syntax, encoded = split_part10(bytes(self._part))
            header = parse_dataset(encoded, syntax)
        except BadObject:
            self.refused += 1
            return
        status = self._take(Instance(header.sop_class_uid, header.sop_instance_uid, syntax, encoded))
        self.refused += status != 0

    def end(self) -> None:
        self.ended = True


def _read(web: WebRemote, response: httpx2.Response, take: Take, most_bytes: int, ending: Ending) -> Retrieved:
    boundary = _boundary(response.headers.get("Content-Type", ""))
    if not boundary:
        return Retrieved(f"{web.name} does not answer as multipart/related: enable WADO-RS of application/dicom there.")
    parts = _Parts(take, most_bytes)
    parser = MultipartParser(
        boundary,
        {"on_part_begin": parts.begin, "on_part_data": parts.data, "on_part_end": parts.end_of_part,
         "on_end": parts.end},
    )  # fmt: skip
    try:
        for chunk in response.iter_raw():
            if ending():
                return Retrieved(BROKEN_OFF)
            parser.write(chunk)
            if parts.too_long:
                return Retrieved(f"{web.name} gives an instance of more than {most_bytes} bytes.")
    except httpx2.TimeoutException:
        return Retrieved(f"{web.name} fell silent for {web.timeout_s:g} s in the middle of the answer.")
    except httpx2.TransportError:
        return Retrieved(f"{web.name} broke off in the middle of the answer. Look at its log.")
    except MultipartParseError:
        return Retrieved(f"{web.name} gives an answer that cannot be taken apart. Look at its log.")
    if parts.refused:
        return Retrieved(f"{parts.refused} of the images that {web.name} gave could not be taken; the log says why.")
    return Retrieved(None if parts.ended else f"{web.name} ended the answer in the middle.")


def _boundary(content_type: str) -> str:
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_type() != "multipart/related":
        return ""
    return str(message.get_param("boundary", ""))
