"""A modality that remembers exactly what was acknowledged to it, and goes on after the node was killed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pynetdicom.sop_class import CTImageStorage

from tests.association import PATIENCE_S, Caller


def send_once(
    port: int, files: Sequence[Path | Dataset], aet: str = "SCANNER", acknowledged: set[str] | None = None,
    pause_s: float = 0, most: int | None = None,
) -> set[str]:  # fmt: skip
    """Send files on one association; return the SOP Instance UIDs that were answered with 0x0000.

    With `most` the association is aborted after that many slices.
    """
    done = set() if acknowledged is None else acknowledged
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
    except OSError:
        time.sleep(0.05)  # nobody listens: the pace of the next try
        return done
    ae = Caller(aet)
    ae.add_requested_context(CTImageStorage)
    association = ae.associate("127.0.0.1", port, ae_title="ICHAI")
    if not association.is_established:
        return done
    try:
        for number, file in enumerate(files):
            if number == most:
                association.abort()
                return done
            dataset = file if isinstance(file, Dataset) else dcmread(file)
            if dataset.SOPInstanceUID in done:
                continue
            if pause_s:
                time.sleep(pause_s)  # the pace of a scanner
            answer = association.send_c_store(dataset)
            if "Status" not in answer:
                return done
            if answer.Status == 0x0000:
                done.add(str(dataset.SOPInstanceUID))
    except (RuntimeError, ValueError):  # the association ended under us
        return done
    finally:
        if association.is_established:
            association.release()
    return done


def send_until_done(
    port: int, files: Sequence[Path], goes_on: Callable[[], bool], aet: str = "SCANNER", pause_s: float = 0
) -> set[str]:
    """Send again what was not acknowledged, on new associations, until all is or `goes_on` says no."""
    done: set[str] = set()
    while len(done) < len(files) and goes_on():
        send_once(port, files, aet, done, pause_s)
    return done


def scan(port: int, files: Sequence[Path], aet: str, pause_s: float, longest_s: float) -> set[str]:
    """Be a scanner in a process of its own."""
    end = time.monotonic() + longest_s
    return send_until_done(port, files, lambda: time.monotonic() < end, aet, pause_s)
