"""The smallest PACS that can take a node's results: a storage SCP that writes what it gets to a folder."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Self

from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    Verification,
)

from ichnode.core.identity import digest_of

_REPORTS = (ComprehensiveSRStorage, Comprehensive3DSRStorage, EnhancedSRStorage)


class ReceivingPacs:
    """A storage SCP on loopback, for as long as the ``with`` block runs.

    Parameters
    ----------
    folder : Path
        Where objects are written, one file each.
    aet : str
        AE title.

    Attributes
    ----------
    port : int
    received : dict of study UID to list of (path, time)
        The Structured Reports, as they came; time is that of `time.monotonic`, before the answer was sent.
    """

    def __init__(self, folder: Path, aet: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.aet, self.port = folder, aet, 0
        self.received: dict[str, list[tuple[Path, float]]] = {}
        self._arrival = threading.Condition()
        self._server: Any = None

    def __enter__(self) -> Self:
        ae = AE(ae_title=self.aet)
        for sop_class in (Verification, *_REPORTS, KeyObjectSelectionDocumentStorage, SecondaryCaptureImageStorage):
            ae.add_supported_context(sop_class)
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        self.port = self._server.server_address[1]
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.ae.shutdown()

    def wait_for(self, study_uid: str, timeout_s: float) -> tuple[Path, float] | None:
        """Return the latest report of a study and when it came; None when none comes within `timeout_s`."""
        with self._arrival:
            self._arrival.wait_for(lambda: study_uid in self.received, timeout_s)
            return self.received[study_uid][-1] if study_uid in self.received else None

    def _store(self, event: evt.Event) -> int:
        came = time.monotonic()
        request = event.request
        # The name comes from a digest, never from the network.
        path = self.folder / f"{digest_of(str(request.AffectedSOPInstanceUID).encode())[:16]}.dcm"
        path.write_bytes(event.encoded_dataset())
        if request.AffectedSOPClassUID in _REPORTS:
            with self._arrival:
                self.received.setdefault(str(event.dataset.StudyInstanceUID), []).append((path, came))
                self._arrival.notify_all()
        return 0x0000
