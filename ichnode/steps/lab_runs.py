"""Which folders of runs of the lab stay: those of models that may still be asked about, and the last ones."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

from ichnode.core.lifecycle import ModelState
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import models

KEPT = 10
"""So many of the last runs stay, whatever became of them."""
log = get_logger(__name__)


def clean_runs(node: Node, runs: Path) -> int:
    """Remove folders of runs, and return how many.

    The last `KEPT` stay, and every run that made or judged a model which is known and not rejected: a card names its
    manifest, and a judgement its test set. The copy of a bundle goes from every run: what was taken in lies in
    ``models/``.

    Parameters
    ----------
    runs : Path
        Folder with one folder a run, named by its time.
    """
    with node.worklist.read() as tx:
        known = {row.digest for row in models.registered(tx) if row.state != ModelState.REJECTED}
    folders = sorted(path for path in runs.iterdir() if path.is_dir())
    for folder in folders:
        shutil.rmtree(folder / "candidate", ignore_errors=True)
    gone = [folder for folder in folders[:-KEPT] if _judged(folder) not in known]
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    if gone:
        log.info("lab.runs_removed", count=len(gone), kept=len(folders) - len(gone))
    return len(gone)


def _judged(folder: Path) -> str | None:
    """Return the digest of the model that a run judged; None where it did not come so far."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / "judgement.json").read_text(encoding="utf-8"))["candidate"])
    return None
