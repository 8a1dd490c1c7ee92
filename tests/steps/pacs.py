"""A PACS that answers as told: statuses of C-STORE and C-ECHO, counts of C-FIND. A real peer on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from tests.association import serving
from tests.peers import free_port


@dataclass
class Pacs:
    """What it was asked, and how it answers."""

    port: int = field(default_factory=free_port)
    aet: str = "PACS"
    status: Callable[[], int] = lambda: 0x0000
    """Status of the next C-STORE."""
    count: Callable[[], int | None] = lambda: None
    """NumberOfSeriesRelatedInstances; None: no such series."""
    takes: tuple[str, ...] = (ComprehensiveSRStorage,)
    stored: list[str] = field(default_factory=list)
    """SOP Instance UIDs that it took."""
    stores: int = 0
    echoes: int = 0
    queries: list[Dataset] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator[Pacs]:
        """Answer inside the block; outside of it nobody listens on the port."""
        ae = AE(ae_title=self.aet)
        for uid in (Verification, StudyRootQueryRetrieveInformationModelFind, *self.takes):
            ae.add_supported_context(uid)
        acts = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, self._echo), (evt.EVT_C_FIND, self._find)]
        with serving(ae, self.port, acts):
            yield self

    def _store(self, event: evt.Event) -> int:
        self.stores += 1
        status = self.status()
        if status in (0x0000, 0xB000):
            self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return status

    def _echo(self, event: evt.Event) -> int:
        self.echoes += 1
        return 0x0000

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        self.queries.append(query)
        count = self.count()
        if count is not None:
            found = Dataset()
            found.QueryRetrieveLevel = "SERIES"
            found.StudyInstanceUID = query.StudyInstanceUID
            found.SeriesInstanceUID = query.SeriesInstanceUID
            found.NumberOfSeriesRelatedInstances = count
            yield 0xFF00, found
