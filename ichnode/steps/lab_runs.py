"""What of the lab stays: runs of models that may still be asked about, the last runs, and what those computed."""

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


def clean_features(features: Path, runs: Path) -> int:
    """Remove what none of the last `KEPT` runs has read of what is computed once, and return how many files.

    Parameters
    ----------
    features : Path
        Folder of it; whoever reads a file sets its time.
    runs : Path
        As `clean_runs` takes it. While there are fewer runs everything stays.
    """
    begun = sorted((path / "manifest.json").stat().st_mtime for path in runs.glob("*") if _is_begun(path))
    if len(begun) < KEPT:
        return 0
    gone = [path for path in features.rglob("*") if path.is_file() and path.stat().st_mtime < begun[-KEPT]]
    for path in gone:
        path.unlink()
    if gone:
        log.info("lab.features_removed", count=len(gone))
    return len(gone)


def _is_begun(run: Path) -> bool:
    return (run / "manifest.json").is_file()


def _judged(folder: Path) -> str | None:
    """Return the digest of the model that a run judged; None where it did not come so far."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / "judgement.json").read_text(encoding="utf-8"))["candidate"])
    return None
