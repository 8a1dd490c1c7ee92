"""Which services an association may use: a peer that may only report gets no storage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ichnode.dicom.access import AccessList, Peer
from ichnode.dicom.negotiation import AgreedContext
from ichnode.dicom.syntaxes import STORAGE_COMMITMENT, UNCOMPRESSED, VERIFICATION
from ichnode.log import get_logger

log = get_logger(__name__)


class Services:
    """Abstract syntaxes of the node with their transfer syntaxes, by peer.

    Parameters
    ----------
    access : AccessList
    storage_classes, syntaxes : collection of str
        SOP classes, and the transfer syntaxes accepted for each of them.
    reports : bool
        Whether the node has asked anybody for storage commitment, so that reports of it may come.
    """

    def __init__(
        self, access: AccessList, storage_classes: Collection[str], syntaxes: Collection[str], reports: bool
    ) -> None:
        plain = frozenset(UNCOMPRESSED)
        self._access = access
        self._reports = {STORAGE_COMMITMENT: plain} if reports else {}
        self._all = {VERIFICATION: plain} | self._reports | dict.fromkeys(storage_classes, frozenset(syntaxes))

    def offered_to(self, peer: Peer) -> Mapping[str, Collection[str]]:
        """Return what a peer that the access list admits may use."""
        if not self._access.may_store(peer):
            return self._reports
        entry = self._access.entry_of(peer)
        if entry is None or not entry.sop_classes:
            return self._all
        others = {VERIFICATION, STORAGE_COMMITMENT, *entry.sop_classes}
        return {uid: syntaxes for uid, syntaxes in self._all.items() if uid in others}


def tell_refused(agreed: Sequence[AgreedContext], peer: Peer) -> None:
    """Log what was refused at negotiation: a wanted SOP class in unknown syntaxes is worth a warning."""
    unreadable = sorted({c.abstract_syntax for c in agreed if c.result == 4})
    if unreadable or not any(c.result == 0 for c in agreed):
        log.warning(
            "contexts.refused",
            code="TRANSFER_SYNTAX" if unreadable else "NO_CONTEXT",
            sop_classes=unreadable or sorted({c.abstract_syntax for c in agreed})[:5],
            remedy="Let the sender offer explicit VR little endian, and CT images only.",
            calling=peer.calling_aet,
            address=peer.address,
        )
