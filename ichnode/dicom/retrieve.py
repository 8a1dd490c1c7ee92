"""Fetching one series from an archive: C-MOVE to this node's own port, or C-GET (Study Root, PS3.4 C.4.2 and C.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context, build_role

from ichnode.dicom.requestor import Remote, associated
from ichnode.dicom.syntaxes import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    STORAGE_CLASSES,
    UNCOMPRESSED,
    decodable_syntaxes,
)
from ichnode.errors import PeerRefused, PeerUnreachable

STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
_PENDING = 0xFF00
_SUCCESS = 0x0000
_SOME_FAILED = 0xB000
_UNKNOWN_DESTINATION = 0xA801
_OUT_OF_RESOURCES = 0xA700
BROKEN_OFF = "The node ended in the middle of the retrieval."


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance that came, its data set exactly as the archive encoded it."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    encoded: bytes


Take = Callable[[Instance], int]
"""What takes an instance and returns the DIMSE status that it is answered with."""
Ending = Callable[[], bool]
"""Tells whether the node is about to end."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """How the retrieval of a series ended. `error` is None where the archive says that it gave everything."""

    error: str | None = None


def move(remote: Remote, study_uid: str, series_uid: str, ending: Ending = lambda: False) -> Retrieved:
    """Let an archive send a series to this node's own AE title, and wait until it says that it has.

    Parameters
    ----------
    ending : callable
        Asked between two images; once it is true the retrieval is broken off.

    Raises
    ------
    PeerUnreachable
        There was no association.
    PeerRefused
        It takes no C-MOVE, or does not know this node as a destination.
    """
    with associated(remote, [build_context(STUDY_ROOT_MOVE, [EXPLICIT_LE, IMPLICIT_LE])]) as association:
        _still(remote, association)
        answers = association.send_c_move(_keys(study_uid, series_uid), remote.calling_aet, STUDY_ROOT_MOVE)
        advice = f" Does it know AE title, address and port of {remote.calling_aet!r}, and can it reach them?"
        return _ended(remote, association, answers, ending, advice)


def get(remote: Remote, study_uid: str, series_uid: str, take: Take, ending: Ending = lambda: False) -> Retrieved:
    """Let an archive send a series on the association that asks for it.

    Parameters
    ----------
    take : callable
        Called for each instance, in the thread that waits.
    ending : callable
        Asked between two images; once it is true the retrieval is broken off.

    Raises
    ------
    PeerUnreachable
        There was no association.
    PeerRefused
        It takes no C-GET.
    """

    def stored(event: evt.Event) -> int:
        if ending():
            return _OUT_OF_RESOURCES
        request = event.request
        return take(
            Instance(
                str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID),
                str(event.context.transfer_syntax), request.DataSet.getvalue(),
            )
        )  # fmt: skip

    roles = [build_role(uid, scp_role=True) for uid in STORAGE_CLASSES]
    with associated(remote, _contexts(), [(evt.EVT_C_STORE, stored)], roles) as association:
        if STUDY_ROOT_GET not in {context.abstract_syntax for context in association.accepted_contexts}:
            raise PeerRefused(f'{remote.name} takes no C-GET: enable it there, or set source.retrieve = "c-move".')
        _still(remote, association)
        answers = association.send_c_get(_keys(study_uid, series_uid), STUDY_ROOT_GET)
        return _ended(remote, association, answers, ending)


def _still(remote: Remote, association: Association) -> None:
    if not association.is_established:
        raise PeerUnreachable(f"{remote.name} ended the association as soon as it had accepted it.")


def _contexts() -> list[PresentationContext]:
    """Propose each storage class with every transfer syntax that can be decoded, a compressed one in its own context.

    In one context the archive would choose, and might decompress what it holds compressed.
    """
    proposed = [build_context(STUDY_ROOT_GET, [EXPLICIT_LE, IMPLICIT_LE])]
    plain = [uid for uid in UNCOMPRESSED if uid != EXPLICIT_BE]
    for sop_class in STORAGE_CLASSES:
        proposed.append(build_context(sop_class, plain))
        proposed += [build_context(sop_class, [uid]) for uid in decodable_syntaxes() if uid not in plain]
    return proposed


def _keys(study_uid: str, series_uid: str) -> Dataset:
    keys = Dataset()
    keys.QueryRetrieveLevel = "SERIES"
    keys.StudyInstanceUID = study_uid
    keys.SeriesInstanceUID = series_uid
    return keys


def _ended(
    remote: Remote, association: Association, answers: Iterator[tuple[Dataset, Any]], ending: Ending, advice: str = ""
) -> Retrieved:
    for answer, _ in answers:
        if "Status" not in answer:
            return Retrieved(f"{remote.name} ended the association, or fell silent, in the middle of the retrieval.")
        status = int(answer.Status)
        if status == _SUCCESS:
            return Retrieved()
        if status == _UNKNOWN_DESTINATION:
            raise PeerRefused(
                f"{remote.name} does not know where {remote.calling_aet!r} is (0xA801): register the AE title, address "
                "and port of this node there.",
                "MOVE_DESTINATION_UNKNOWN",
            )
        if status == _SOME_FAILED:
            failed = answer.get("NumberOfFailedSuboperations")
            return Retrieved(f"{remote.name} could not send {failed if failed is not None else 'some'} of the images.")
        if status != _PENDING:
            return Retrieved(f"{remote.name} ended the retrieval with 0x{status:04X}.{advice}")
        if ending():
            association.abort()
            return Retrieved(BROKEN_OFF)
    return Retrieved(f"{remote.name} ended the retrieval without an answer.")
