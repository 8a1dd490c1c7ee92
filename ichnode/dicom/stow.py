"""STOW-RS: give objects to a DICOMweb service, the Store transaction of PS3.18 10.5."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import httpx2
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ichnode.dicom.store_answers import SOP_CLASS_NOT_SUPPORTED, Alternatives, StoreAnswer, judged
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.https import WebAnswer, WebRemote, ask, connected

_CHUNK_BYTES = 1 << 16
_FAILED, _REFERENCED = "00081198", "00081199"
_FAILURE_REASON, _WARNING_REASON = "00081197", "00081196"


def stow(
    web: WebRemote,
    files: Sequence[Path],
    on_answer: Callable[[Path, int | None], None] | None = None,
    alternatives: Alternatives | None = None,
    ending: Callable[[], bool] = lambda: False,
) -> list[StoreAnswer]:
    """Give files to a service, as they are, over one connection.

    Each travels in a request of its own: what a service cannot take, or a gateway before it, then fails alone.

    Parameters
    ----------
    web : WebRemote
    files : sequence of Path
        Part 10 files.
    on_answer : callable, optional
        Called with path and status, or None without one, after each file.
    alternatives : Alternatives, optional
        Other SOP Classes of the same content: the next one is tried where the service supports none before it.
    ending : callable, optional
        Asked before each file; once it is true no more are sent.

    Returns
    -------
    list of StoreAnswer
        One for each file, in the order of `files`, but those not sent because of `ending`. Where the service is lost in
        the middle the rest are transient.

    Raises
    ------
    PeerUnreachable, PeerRefused
        The service took no request at all.
    """
    answers: list[StoreAnswer] = []
    lost: PeerUnreachable | PeerRefused | None = None
    asked = False
    with connected(web) as client:
        for path in files:
            if ending():
                break
            try:
                if lost is not None:
                    answer = StoreAnswer(path, None, lost.sentence, True)
                else:
                    answer = _stored(web, client, path, alternatives)
                    asked = True
            except (PeerUnreachable, PeerRefused) as error:
                if not asked:
                    raise
                lost, answer = error, StoreAnswer(path, None, error.sentence, True)
            answers.append(answer)
            if on_answer is not None:
                on_answer(path, answer.status)
    return answers


def _stored(web: WebRemote, client: httpx2.Client, path: Path, others: Alternatives | None) -> StoreAnswer:
    try:
        own = str(dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True).SOPClassUID)
    except (InvalidDicomError, OSError, AttributeError, ValueError) as error:
        return StoreAnswer(path, None, f"The file cannot be sent: {type(error).__name__}.", False)
    classes = (others.sop_classes.get(path) if others else None) or (own,)
    for sop_class in classes:
        file = path if others is None or sop_class == own else others.recast(path, sop_class)
        answer = _sent(web, client, file)
        if answer.status != SOP_CLASS_NOT_SUPPORTED:
            break
    return replace(answer, path=path)


def _sent(web: WebRemote, client: httpx2.Client, path: Path) -> StoreAnswer:
    try:
        with path.open("rb") as file:
            part = _Part(file)
            return _judged(web, path, ask(web, client, "POST", "/studies", part, part.headers))
    except OSError as error:
        return StoreAnswer(path, None, f"The file cannot be read: {error.strerror}.", True)


class _Part:
    """The body of a request with one instance, never whole in memory (PS3.18 8.6.1.2)."""

    def __init__(self, file: BinaryIO) -> None:
        boundary = secrets.token_hex(16)
        self._file = file
        self._before = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        self._after = f"\r\n--{boundary}--\r\n".encode("ascii")
        self._size = os.fstat(file.fileno()).st_size
        length = len(self._before) + self._size + len(self._after)
        self.headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(length),
        }

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        left = self._size
        while left:
            chunk = self._file.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise OSError(errno.EIO, "it became shorter while it was sent")
            left -= len(chunk)
            yield chunk
        yield self._after


def _judged(web: WebRemote, path: Path, answer: WebAnswer) -> StoreAnswer:
    """Take an answer about one instance (PS3.18 10.5.3 and Annex I.2).

    What the data set of the answer says of the instance counts before the status code: some services answer 200
    whatever became of it.
    """
    said = _response(answer.body)
    if said is not None and said.failed:
        if said.reason is None:
            return _refused(web, path, "without a reason")
        return judged(web.name, path, said.reason)
    if answer.code in (200, 202) and said is not None and said.referenced:
        return StoreAnswer(path, said.reason or 0x0000, None, False)
    if answer.code == 200:
        return StoreAnswer(path, 0x0000, None, False)
    if answer.code // 100 in (2, 5):
        said_what = "and did not say what became of it" if answer.code < 300 else "while it took the object"
        return StoreAnswer(path, None, f"{web.name} answered with HTTP {answer.code} {said_what}.", True)
    return _refused(web, path, _ADVICE.get(answer.code, "look at its log").format(path.stat().st_size), answer.code)


_ADVICE = {
    400: "it could not read the request; look at its log",
    406: "it gives no answer as application/dicom+json; enable that there",
    413: "raise the longest request, here {} bytes, of the service or of the gateway before it",
    415: "enable STOW-RS of application/dicom there",
}


def _refused(web: WebRemote, path: Path, why: str, code: int | None = None) -> StoreAnswer:
    with_code = f" with HTTP {code}: {why}" if code is not None else f" {why}"
    return StoreAnswer(path, None, f"{web.name} refused the object{with_code}.", False)


@dataclass(frozen=True, slots=True)
class _Response:
    """What a Store Instances Response says of the one instance that was sent."""

    failed: bool
    referenced: bool
    reason: int | None
    """FailureReason where it failed, WarningReason where it is referenced."""


def _response(body: bytes | None) -> _Response | None:
    """Read a response in DICOM JSON (PS3.18 F.2); None where it is none."""
    try:
        said = json.loads(body or b"")
        if isinstance(said, list):  # Some services wrap it, as the results of a query are.
            (said,) = said
        failed, referenced = (said.get(tag, {}).get("Value") or [] for tag in (_FAILED, _REFERENCED))
        item, tag = (failed[0], _FAILURE_REASON) if failed else (referenced[0] if referenced else {}, _WARNING_REASON)
        return _Response(bool(failed), bool(referenced), _number(item.get(tag)))
    except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
        return None


def _number(element: Any) -> int | None:
    value = element["Value"][0] if element else None
    return int(value) & 0xFFFF if value is not None else None
