"""What the node asks of other peers: C-ECHO, and C-STORE of results and files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from ichnode.dicom.requestor import NothingAccepted, Remote, associated
from ichnode.dicom.store_answers import Alternatives, StoreAnswer, judged
from ichnode.dicom.syntaxes import (
    COMPRESSED,
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    LOSSY,
    UNCOMPRESSED,
    VERIFICATION,
)
from ichnode.errors import PeerRefused, PeerUnreachable

__all__ = ["Alternatives", "Remote", "StoreAnswer", "echo", "store"]

_MOST_CONTEXTS = 128


@dataclass(frozen=True, slots=True)
class _Outgoing:
    path: Path
    sop_class_uid: str
    transfer_syntax_uid: str


def echo(remote: Remote) -> None:
    """Ask a peer whether it is there (C-ECHO).

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    with associated(remote, [build_context(VERIFICATION, [IMPLICIT_LE])]) as association:
        answer = association.send_c_echo()
        if "Status" not in answer:
            raise PeerUnreachable(f"{remote.name} accepted the association and did not answer the C-ECHO.")
        if answer.Status != 0:
            raise PeerRefused(f"{remote.name} answered the C-ECHO with 0x{answer.Status:04X}.")


def store(
    remote: Remote,
    files: Sequence[Path],
    on_answer: Callable[[Path, int | None], None] | None = None,
    alternatives: Alternatives | None = None,
    ending: Callable[[], bool] = lambda: False,
) -> list[StoreAnswer]:
    """Send files on one association.

    Presentation contexts are proposed for exactly what the files are. Where a peer does not take the transfer syntax
    of a file, an uncompressed one is used if that loses nothing.

    Parameters
    ----------
    remote : Remote
    files : sequence of Path
        Part 10 files.
    on_answer : callable, optional
        Called with path and status, or None without one, after each file.
    alternatives : Alternatives, optional
        Other SOP Classes to propose, and what makes a file of the accepted one.
    ending : callable, optional
        Asked before each file; once it is true no more are sent.

    Returns
    -------
    list of StoreAnswer
        One for each file, in the order of `files`, but those not sent because of `ending`. When the association breaks
        in the middle the rest are transient.

    Raises
    ------
    PeerUnreachable, PeerRefused
        There was no association at all.
    """
    answers: dict[Path, StoreAnswer] = {}
    others = alternatives or Alternatives({}, lambda path, _: path)

    def answered(answer: StoreAnswer) -> None:
        answers[answer.path] = answer
        if on_answer is not None:
            on_answer(answer.path, answer.status)

    outgoing = []
    for path in files:
        try:
            outgoing.append(_identified(path))
        except (InvalidDicomError, OSError, AttributeError, KeyError, ValueError) as error:
            answered(StoreAnswer(path, None, f"The file cannot be sent: {type(error).__name__}.", False))
    try:
        if outgoing:
            with associated(remote, _contexts(outgoing, others)) as association:
                for message_id, out in zip(itertools.cycle(range(1, 65536)), outgoing, strict=False):
                    if ending():
                        break
                    liked = _liked(association, out, others)
                    answered(replace(_send(remote, association, liked, message_id), path=out.path))
    except NothingAccepted as refusal:
        for out in outgoing:
            answered(StoreAnswer(out.path, None, refusal.sentence, False))
    return [answers[path] for path in files if path in answers]


def _identified(path: Path) -> _Outgoing:
    header = dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"], stop_before_pixels=True)
    if not header.SOPInstanceUID:
        raise ValueError
    return _Outgoing(path, str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID))


def _liked(association: Association, out: _Outgoing, others: Alternatives) -> _Outgoing:
    """Return the file in the best liked SOP Class that the peer has accepted; as it is when it has accepted none."""
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    for sop_class in others.sop_classes.get(out.path, ()):
        if sop_class in accepted:
            return out if sop_class == out.sop_class_uid else _identified(others.recast(out.path, sop_class))
    return out


def _contexts(outgoing: Sequence[_Outgoing], others: Alternatives) -> list[PresentationContext]:
    """Propose each SOP class with the syntaxes of its files, each alone, and with an uncompressed one to fall back on.

    The fallback has its own context: in one context the peer would choose, and might choose to have lossless images
    decompressed that it could store as they are.
    """
    wanted: dict[tuple[str, tuple[str, ...]], None] = {}
    for out in outgoing:
        wanted[out.sop_class_uid, (out.transfer_syntax_uid,)] = None
    for out in outgoing:
        if out.transfer_syntax_uid != EXPLICIT_BE and out.transfer_syntax_uid not in LOSSY:
            wanted[out.sop_class_uid, (EXPLICIT_LE, IMPLICIT_LE)] = None
        for sop_class in others.sop_classes.get(out.path, ()):
            wanted[sop_class, (EXPLICIT_LE,)] = wanted[sop_class, (EXPLICIT_LE, IMPLICIT_LE)] = None
    return [
        build_context(sop_class, list(syntaxes)) for sop_class, syntaxes in itertools.islice(wanted, _MOST_CONTEXTS)
    ]


def _send(remote: Remote, association: Association, out: _Outgoing, message_id: int) -> StoreAnswer:
    if not association.is_established:
        return StoreAnswer(out.path, None, f"{remote.name} ended the association before this object.", True)
    accepted = {
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == out.sop_class_uid
    }
    try:
        data_set = dcmread(out.path)
        if out.transfer_syntax_uid not in accepted:
            refusal = _fall_back(remote, data_set, out, accepted)
            if refusal is not None:
                return refusal
        answer = association.send_c_store(data_set, msg_id=message_id)
    except (RuntimeError, ValueError, AttributeError, NotImplementedError, InvalidDicomError) as error:
        if not association.is_established:
            return StoreAnswer(out.path, None, f"{remote.name} ended the association.", True)
        return StoreAnswer(out.path, None, f"The object cannot be encoded for {remote.name}: {error}", False)
    except OSError as error:
        return StoreAnswer(out.path, None, f"The file cannot be read: {error.strerror}.", True)
    if "Status" not in answer:
        # It is over, and pynetdicom may take a moment to say so: the next object would wait for its whole time-out.
        association.is_established = False
        return StoreAnswer(out.path, None, f"{remote.name} did not answer within {remote.timeout_s:g} s.", True)
    return judged(remote.name, out.path, int(answer.Status))


def _fall_back(remote: Remote, data_set: Dataset, out: _Outgoing, accepted: set[str]) -> StoreAnswer | None:
    """Make `data_set` fit an uncompressed context, or say why it cannot be sent."""
    plain = accepted & {EXPLICIT_LE, IMPLICIT_LE}
    if out.transfer_syntax_uid in COMPRESSED and out.transfer_syntax_uid not in LOSSY and plain:
        data_set.decompress(generate_instance_uid=False)
        return None
    if out.transfer_syntax_uid in (*UNCOMPRESSED, DEFLATED_LE) and out.transfer_syntax_uid != EXPLICIT_BE and plain:
        return None  # Encoded anew when sent.
    what = "the transfer syntax" if accepted else "the SOP class"
    uid = out.transfer_syntax_uid if accepted else out.sop_class_uid
    return StoreAnswer(out.path, None, f"{remote.name} does not accept {what} {uid}: enable it there.", False)
