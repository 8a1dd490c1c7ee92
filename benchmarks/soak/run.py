"""The run: node, archive and scanners, a day long, then the proof."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from tests.peers import Storescp, wait_until
from tests.running import RunningNode, running

from .day import SCANNERS, Exam, Trouble, exams, troubles
from .proof import Day, Proof, prove
from .scanner import Sent, work
from .troubles import Troubles
from .witness import Look, Witness

LATE_SHARE = 0.02
SHORTEST_S = 3.0
"""An outage that nobody notices proves nothing."""
DRAIN_S = 900.0


@dataclass(frozen=True)
class Told:
    """What a run has to tell."""

    exams: list[Exam]
    done: list[tuple[Trouble, float, float]]  # begun, ended: of `time.monotonic`
    sent: list[Sent]
    looks: list[Look]
    begins: float
    day_s: float
    proofs: list[Proof]
    answers: list[tuple[Sent, float]]


def templates(folder: Path) -> dict[tuple[bool, bool], Path]:
    """Write the four synthetic heads that all exams are copies of: (thin, bleeds) to folder."""
    from ichnode_training.phantom import make_head
    from ichnode_training.phantom_dicom import write_dicom

    made = {}
    for thin in (False, True):
        for bleeds in (False, True):
            lesions, volumes = (("intraparenchymal",), {"intraparenchymal": 40.0}) if bleeds else ((), {})
            protocol = {"slices": 128, "thickness_mm": 1.25} if thin else {"slices": 34, "thickness_mm": 5.0}
            head = make_head(9, lesions, volumes_ml=volumes, matrix=128, mimics=(), **protocol)
            made[thin, bleeds] = folder / f"{'thin' if thin else 'thick'}-{'bleed' if bleeds else 'plain'}"
            write_dicom(head, made[thin, bleeds])
    return made


def run(
    folder: Path, studies: int, day_s: float, seed: int, bundle: Path | None, say: Callable[[str], None],
    heads: dict[tuple[bool, bool], Path] | None = None,
) -> Told:  # fmt: skip
    """Live through the day.

    Parameters
    ----------
    folder : Path
        Empty; on the disk that is to be measured.
    day_s : float
        How long the day is, in seconds.
    bundle : Path or None
        Model bundle; None for the one that ships.
    heads : mapping, optional
        From `templates`, when they are there already.
    """
    plan, wrong = exams(studies, seed), troubles(studies, seed)
    heads = heads or templates(folder / "heads")
    pacs = Storescp(folder / "archive")
    node = RunningNode(
        folder / "node",
        engine={"bundle": str(bundle)} if bundle else {},
        completeness={"settle_s": 0.5, "quiet_s": 3.0, "max_wait_s": max(20.0, 0.05 * day_s)},
        delivery={"first_retry_s": 0.5, "longest_retry_s": 5.0},
        destinations=[{"name": "archive", "aet": pacs.aet, "host": "127.0.0.1", "port": pacs.port}],
        log={"format": "json"},
    )
    troubled = Troubles(node, pacs)
    done: list[tuple[Trouble, float, float]] = []
    with (
        pacs,
        running(node),
        Witness(node) as witness,
        ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool,
    ):
        begins = time.monotonic() + 3  # the scanners have to start
        longest_s = 3 * day_s + 120
        futures = [
            pool.submit(
                work, node.port, scanner, [e for e in plan if e.scanner == scanner], heads, seed, begins, day_s,
                longest_s, LATE_SHARE * day_s + 8,
            )
            for scanner in SCANNERS
        ]  # fmt: skip
        for trouble in wrong:
            threading.Event().wait(max(0.0, begins + trouble.at * day_s - time.monotonic()))  # the day's clock
            at = time.monotonic()
            troubled.do(trouble.what, max(trouble.lasts * day_s, SHORTEST_S))
            done.append((trouble, at, time.monotonic()))
            say(f"{(at - begins) / day_s * 24:4.1f} h  {trouble.what}")
        undisturbed = time.monotonic()
        sent = [one for future in futures for one in future.result()]
        say(f"{len(sent)} studies sent after {time.monotonic() - begins:.0f} s")
        last = time.monotonic()
        drained = _drained_after(node, last)
        day = Day(node, pacs.received, sent, witness.looks, drained, undisturbed, troubled.outages)
        proofs = prove(day)
        answers = _answers(sent, pacs.received)
        node.stop()
    return Told(plan, done, sent, list(witness.looks), begins, day_s, proofs, answers)


def _drained_after(node: RunningNode, since: float) -> float | None:
    try:
        wait_until(node.settled, DRAIN_S, "everything settled")
    except TimeoutError:
        return None
    return time.monotonic() - since


def _answers(sent: list[Sent], archive: Path) -> list[tuple[Sent, float]]:
    """Return of each study the seconds from its last slice to its first report in the archive.

    Of a study whose last slices come late, from the last one before.
    """
    came: dict[str, float] = {}
    for file in archive.iterdir():
        study = str(dcmread(file, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
        came[study] = min(came.get(study, float("inf")), file.stat().st_mtime)
    found = []
    for one in sent:
        whole = one.slices - 2 if one.exam.way == "late" else one.slices
        last = next((at for at, many in one.times if many >= whole), None)
        if last is not None and one.study in came:
            found.append((one, max(0.0, came[one.study] - last)))
    return found
