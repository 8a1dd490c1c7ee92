"""Retrain: labels of this node into a candidate, and the gate's word on it. Judge: the gate's word on any candidate.

What teaches and judges is the lab (`ichnode_training`), started as a child process. It gets a manifest over the files
of the spool and the folder of the active bundle; it gives back a bundle and a judgement. Nothing is promoted here.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ichnode import __version__
from ichnode.core.test_set import TEST
from ichnode.errors import PermanentError
from ichnode.log import get_logger
from ichnode.steps.lab_process import Told, alone, check_lab, run_lab
from ichnode.steps.lab_runs import clean_features, clean_runs
from ichnode.steps.labels import Gathered, check_enough, gather, manifest, split
from ichnode.steps.node import Node
from ichnode.steps.register import RETRAIN, active_digest, settle_active, take_in
from ichnode.storage.atomic import write_durable
from ichnode.worklist import audit, lab, models

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retrained:
    """What a run came to.

    Attributes
    ----------
    digest : str
        Of the candidate.
    judgement : dict
        ``passed``, and ``checks`` with their sentences and figures.
    contradictory : tuple of int
        Studies that were left out because reader and report say different things.
    shared : tuple of int
        Studies that were left out because their accession number is that of several patients.
    """

    digest: str
    judgement: dict[str, Any]
    contradictory: tuple[int, ...]
    shared: tuple[int, ...]
    without_answer: int


def lab_folder(node: Node) -> Path:
    """Return the folder of the lab: runs, and features that were calculated before."""
    return node.settings.node.data.resolve() / "lab"


def retrain(
    node: Node, by: audit.Actor, outcomes: Path | None, told: Told = lambda stage, done, of: None, *,
    recipe: str | None = None, stopping: threading.Event | None = None,
) -> Retrained:  # fmt: skip
    """Make a candidate from the labels there are, and let the gate judge it against the active model.

    Parameters
    ----------
    outcomes : Path or None
        CSV of report outcomes, see `ichnode.steps.outcomes`.
    recipe : str, optional
        In place of ``retrain.recipe``.

    Raises
    ------
    PermanentError
        Too few labels, no lab, a run that is going on already, or one that failed or took too long.
    """
    check_lab()
    section = node.settings.retrain
    with alone(lab_folder(node)):
        gathered = gather(node, outcomes)
        check_enough(gathered, section.least_positives, section.least_negatives)
        settle_active(node)
        parts = split(node, gathered)
        run = _run(node, manifest(node, gathered, parts), recipe=recipe or section.recipe)
        _begin(node, by, run, "retrain", gathered, parts)
        with _ending(node, run):
            run_lab("retrain", run, section.timeout_s, section.threads, told, stopping or threading.Event())
            bundle, _ = take_in(node, run / "candidate", RETRAIN, tried=True, by=by)
            judgement = _file(node, run, bundle.digest)
    return Retrained(bundle.digest, judgement, gathered.contradictory, gathered.shared, gathered.without_answer)


def judge(
    node: Node, by: audit.Actor, text: str, outcomes: Path | None, told: Told = lambda stage, done, of: None
) -> dict[str, Any]:
    """Let the gate judge the candidate or shadow that `text` names against the active model; return what it found.

    Raises
    ------
    PermanentError
        As `retrain`.
    """
    check_lab()
    section = node.settings.retrain
    with node.worklist.read() as tx:
        row = models.model(tx, text)
    if row.state not in ("candidate", "shadow"):
        raise PermanentError(f"The model {row.digest[:12]} is {row.state}: only candidates are judged.", "MODEL_STATE")
    with alone(lab_folder(node)):
        gathered = gather(node, outcomes)
        parts = split(node, gathered)
        candidate = str(node.models.path(row.digest))
        run = _run(node, manifest(node, gathered, parts, only_test=True), candidate=candidate)
        _begin(node, by, run, "judge", gathered, parts)
        with _ending(node, run):
            run_lab("judge", run, section.timeout_s, section.threads, told, threading.Event())
            return _file(node, run, row.digest)


@contextlib.contextmanager
def _ending(node: Node, run: Path) -> Iterator[None]:
    """Write down where a run did not come to its end, and remove what no one asks for any more."""
    try:
        yield
    except (PermanentError, KeyboardInterrupt) as error:
        with node.worklist.write() as tx:
            lab.note_run(tx, node.now(), "failed", run.name, code=getattr(error, "code", "STOPPED"))
        raise
    finally:
        clean_runs(node, run.parent)
        clean_features(lab_folder(node) / "features", run.parent)


def _run(node: Node, told: dict[str, Any], **more: str) -> Path:
    section = node.settings.retrain
    runs = lab_folder(node) / "runs"
    runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    run = runs / f"{node.now():%Y%m%dT%H%M%S.%f}"
    run.mkdir(mode=0o700)
    request = {
        "active": str(node.models.path(active_digest(node))), "features": str(lab_folder(node) / "features"),
        "target_sensitivity": section.target_sensitivity, "margin": section.margin, "phantoms": section.phantoms,
        "least_judges": section.least_judges, "threads": section.threads, "device": node.settings.engine.device,
        "code": __version__, "at": node.now().isoformat(timespec="seconds"), **more,
    }  # fmt: skip
    write_durable(run / "manifest.json", json.dumps(told, indent=1).encode())
    write_durable(run / "request.json", json.dumps(request, indent=1).encode())
    return run


def _begin(
    node: Node, by: audit.Actor, run: Path, what: str, gathered: Gathered, parts: dict[str, str]
) -> None:  # fmt: skip
    patients = set(gathered.bleeds)
    tests = sum(parts[patient] == TEST for patient in patients)
    with node.worklist.write() as tx:
        lab.note_run(
            tx, node.now(), "begun", run.name, what=what, patients=len(patients), test=tests,
            contradictory=list(gathered.contradictory), shared=list(gathered.shared),
            without_answer=gathered.without_answer,
        )  # fmt: skip
        audit.record(tx, node.now(), by.name, f"model.{what}_begun", address=by.address, run=run.name)


def _file(node: Node, run: Path, digest: str) -> dict[str, Any]:
    judgement: dict[str, Any] = json.loads((run / "judgement.json").read_text(encoding="utf-8"))
    with node.worklist.write() as tx:
        models.record_judgement(tx, node.now(), digest, judgement)
        lab.note_run(tx, node.now(), "ended", run.name, model=digest[:12], passed=judgement["passed"])
    return judgement
