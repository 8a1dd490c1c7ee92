"""What an acceptor takes: found by proposing everything to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice

from pydicom.uid import UID_dictionary
from pynetdicom import build_context

from ichnode.dicom import syntaxes
from ichnode.dicom.access import AllowedPeer, Reporter
from ichnode.dicom.scp import ScpLimits, StoreScp
from tests.association import Caller

MOST_CONTEXTS = 128
SENDER, REPORTER = "SENDER", "REPORTER"
SOP_CLASSES = tuple(sorted(uid for uid, (_, kind, *_) in UID_dictionary.items() if "SOP Class" in kind))
TRANSFER_SYNTAXES = tuple(sorted(uid for uid, (_, kind, *_) in UID_dictionary.items() if kind == "Transfer Syntax"))


def accepted_by(port: int, called: str = "ICHAI", calling: str = SENDER) -> set[tuple[str, str]]:
    """Propose every SOP class and transfer syntax of PS3.6 to an acceptor; return the pairs that it accepts."""
    known = {sop for sop, _ in _accepted(port, called, calling, ((sop, TRANSFER_SYNTAXES) for sop in SOP_CLASSES))}
    alone = ((sop, (syntax,)) for sop in sorted(known) for syntax in TRANSFER_SYNTAXES)
    return set(_accepted(port, called, calling, alone))


def _accepted(
    port: int, called: str, calling: str, proposals: Iterable[tuple[str, tuple[str, ...]]]
) -> Iterator[tuple[str, str]]:
    proposals = iter(proposals)
    while batch := list(islice(proposals, MOST_CONTEXTS)):
        contexts = [build_context(sop, list(offered)) for sop, offered in batch]
        association = Caller(calling).associate("127.0.0.1", port, contexts=contexts, ae_title=called)
        answered = [*association.accepted_contexts, *association.rejected_contexts]
        if len(answered) != len(batch):
            raise AssertionError("the association was not accepted")
        yield from ((str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts)
        if association.is_established:
            association.release()


@cache
def accepted_contexts(calling: str = SENDER) -> tuple[tuple[str, str], ...]:
    """Return every abstract syntax with every transfer syntax that the node's acceptor takes for it.

    Parameters
    ----------
    calling : {SENDER, REPORTER}
        A peer of the allow-list, or a destination that is asked for storage commitment and is not on it. The node asks
        for storage commitment.

    Raises
    ------
    RuntimeError
        A decoder is missing here, so that this machine accepts less than the statement is about.
    """
    decodable = syntaxes.decodable_syntaxes()
    missing = {*syntaxes.UNCOMPRESSED, syntaxes.DEFLATED_LE, *syntaxes.COMPRESSED} - set(decodable)
    if missing:
        raise RuntimeError(f"no decoder of {', '.join(sorted(missing))} is installed: install all of them")
    scp = StoreScp(
        "ICHAI", "127.0.0.1", 0, limits=ScpLimits(), allowed=[AllowedPeer(SENDER)],
        storage_classes=syntaxes.STORAGE_CLASSES, syntaxes=decodable, store=lambda received: 0,
        opened=lambda peer: 1, ended=lambda number, how: None, accepting=lambda: None,
        reporters=[Reporter(REPORTER, "127.0.0.1")], reported=lambda report: None,
    )  # fmt: skip
    port, _ = scp.start()
    assert port is not None
    try:
        found = accepted_by(port, calling=calling)
        return tuple(sorted(found, key=lambda pair: (pair[0], decodable.index(pair[1]))))
    finally:
        scp.stop()
