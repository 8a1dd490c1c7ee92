"""Custody: what came in at the same moment gets durable names and rows together, before any of it is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ichnode.core.group import Group
from ichnode.errors import FileRemoved, TransientError
from ichnode.storage.spool import Spool
from ichnode.worklist.database import Worklist
from ichnode.worklist.receipts import Disposition, Receipt, record_receipts

Found: TypeAlias = tuple[Disposition, list[str]]
"""What a receipt turned out to be, and the files that hold the same: see `record_receipts`."""


class Custody:
    """Takes slices whose files lie in the spool, from many threads.

    Parameters
    ----------
    settle_s : float
        Seconds after a slice at which assembly should look at its series.
    """

    def __init__(self, spool: Spool, worklist: Worklist, settle_s: float) -> None:
        self._spool, self._worklist, self._settle_s = spool, worklist, settle_s
        # Apart, so that the names of the next slices are synced while the rows of these are written.
        self._naming: Group[str, None] = Group(self._name, everyones=(OSError,))
        self._recording: Group[Receipt, Found] = Group(self._take, everyones=(TransientError,))

    def take(self, receipt: Receipt) -> Found:
        """Write the row of a slice, once the name of its file is durable; of a conflict nothing is written yet.

        Raises
        ------
        FileRemoved
            The file was removed with its purged series a moment ago; nothing was written.
        TransientError, OSError
            Worklist or spool cannot be written now.
        """
        self._naming.do(receipt.file)
        return self._recording.do(receipt)

    def keep(self, receipt: Receipt) -> Found:
        """Write the row of a slice also where it is in conflict with another; raises as `take`."""
        with self._worklist.write() as tx:
            return self._recorded(tx, [receipt], keep_conflict=True)[0]

    def _name(self, files: Sequence[str]) -> list[None]:
        self._spool.settle(*files)
        return [None] * len(files)

    def _take(self, receipts: Sequence[Receipt]) -> list[Found]:
        about = [uid for receipt in receipts for uid in (receipt.study.study_instance_uid, receipt.sop_instance_uid)]
        with self._worklist.write_about(about) as tx:
            return self._recorded(tx, receipts, keep_conflict=False)

    def _recorded(self, tx: Any, receipts: Sequence[Receipt], *, keep_conflict: bool) -> list[Found]:
        found = record_receipts(tx, receipts, self._settle_s, keep_conflict=keep_conflict)
        for receipt, (disposition, _) in zip(receipts, found, strict=True):
            if disposition is not Disposition.DUPLICATE and not self._spool.holds(receipt.file):
                raise FileRemoved("The file of this slice was removed with its series.")
        return found
