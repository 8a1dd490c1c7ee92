"""A scanner: a process of its own that sends its exams at their time, and writes down what was acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset, dcmread

from ichnode.core.identity import derived_uid
from tests.sender import send_once

from .day import Exam


@dataclass
class Sent:
    """What became of one exam; times are of `time.time`."""

    exam: Exam
    study: str
    series: str
    slices: int
    acknowledged: set[str] = field(default_factory=set)
    times: list[tuple[float, int]] = field(default_factory=list)  # (when, how many were acknowledged by then)


def uid_of(exam: Exam, seed: int, *part: str) -> str:
    """Return the UID of a part of an exam: the same for the same seed."""
    return derived_uid("soak", str(seed), str(exam.number), *part)


def slices_of(exam: Exam, seed: int, folder: Path) -> list[Dataset]:
    """Return the exam's slices: those of a template, as another patient."""
    made = []
    for number, file in enumerate(sorted(folder.glob("*.dcm"))):
        ds = dcmread(file)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid_of(exam, seed, "study"), uid_of(exam, seed, "series")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid_of(exam, seed, "slice", str(number))
        ds.PatientID, ds.PatientName = f"SOAK{exam.number:05d}", f"SOAK^{exam.number:05d}"
        ds.AccessionNumber = f"SK{exam.number:05d}"
        if exam.way == "contrast":
            ds.ContrastBolusAgent, ds.SeriesDescription = "Iomeprol", "CTA HEAD"
        made.append(ds)
    return made


def work(
    port: int, aet: str, mine: Sequence[Exam], templates: dict[tuple[bool, bool], Path], seed: int, begins: float,
    day_s: float, longest_s: float, late_s: float,
) -> list[Sent]:  # fmt: skip
    """Send all exams of one scanner, each at its time, again and again until every slice is acknowledged.

    Parameters
    ----------
    templates : mapping of (thin, bleeds) to folder
    begins : float
        When the day begins, of `time.monotonic`; it lasts `day_s` seconds.
    longest_s : float
        The scanner gives up that many seconds after the day's beginning; what it says tells the rest.
    late_s : float
        How long the last slices of an exam of the way *late* are kept back, in seconds.
    """
    every, kept_back = [], list[tuple[float, Sent, list[Dataset]]]()

    def over() -> bool:
        return time.monotonic() > begins + longest_s

    def send(sent: Sent, some: Sequence[Dataset], most: int | None = None) -> None:
        wanted = {str(ds.SOPInstanceUID) for ds in some}
        while True:
            send_once(port, some, aet, sent.acknowledged, most=most)
            sent.times.append((time.time(), len(sent.acknowledged)))
            if most is not None or wanted <= sent.acknowledged or over():
                return
            threading.Event().wait(0.2)  # a modality tries again after a while

    for exam in mine:
        due = begins + exam.at * day_s
        while kept_back and kept_back[0][0] < due:
            send_late(kept_back.pop(0), send)
        threading.Event().wait(max(0.0, due - time.monotonic()))  # the day's clock
        slices = slices_of(exam, seed, templates[exam.way == "thin", exam.bleeds])
        sent = Sent(exam, str(slices[0].StudyInstanceUID), str(slices[0].SeriesInstanceUID), len(slices))
        every.append(sent)
        if exam.way == "aborted":
            send(sent, slices, most=len(slices) // 2)
        if exam.way == "late":
            kept_back.append((time.monotonic() + late_s, sent, slices[-2:]))
            slices = slices[:-2]
        send(sent, slices)
        if exam.way == "again":
            send_once(port, slices, aet)
    for one in kept_back:
        send_late(one, send)
    return every


def send_late(one: tuple[float, Sent, list[Dataset]], send: Callable[[Sent, Sequence[Dataset]], None]) -> None:
    """Wait until what was kept back is due, and send it."""
    at, sent, slices = one
    threading.Event().wait(max(0.0, at - time.monotonic()))
    send(sent, slices)
