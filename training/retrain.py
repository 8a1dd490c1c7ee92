"""``python -m ichnode_training retrain RUN``, ``… judge RUN``: what `ichnode retrain` and `ichnode model judge` start.

RUN is a folder with ``request.json`` and ``manifest.json``, written by the node. It gets ``candidate/`` (a bundle) and
``judgement.json``. Progress goes to standard output, a JSON object a line; the end of standard input means that the
node is gone, and ends the run.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.errors import IchnodeError
from ichnode.inference.bundle import Bundle, load_bundle
from ichnode.inference.network import CnnLstm
from ichnode.inference.trial import try_bundle

from .calibration import Logits, fit
from .crossval import folds
from .features import Features, features_of
from .gate import Check, TestSet, judge, phantoms
from .grid import GridScan, grid_scan
from .judging import logits_of, network_of, scan_scores
from .local_card import local_card, measured, operating_points
from .local_scans import TEST, TRAINING, read_manifest
from .loop import OutOfMemory, Setting
from .material import Material
from .planes import Scan
from .processes import Processes
from .publish import publish
from .recipe_file import as_values, read_recipe

FOLDS = 4
SEED = 0
TOLD_EVERY_S = 0.5


class TooLittle(IchnodeError):
    """There is not enough to learn from."""

    code = "TOO_FEW_LABELS"


def for_the_node(command: str, folder: Path) -> int:
    """Run one of the two commands; a failure is told as ``{"error": sentence}``."""
    os.nice(19)
    threading.Thread(target=_end_with_the_node, daemon=True).start()
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    torch.set_num_threads(int(request["threads"]))
    try:
        if command == "retrain":
            _retrain(folder, request)
        else:
            _judge(folder, request, Path(request["candidate"]), read_manifest(folder / "manifest.json"))
    except IchnodeError as error:
        _say({"error": error.sentence})
        return 1
    return 0


def _retrain(folder: Path, request: dict[str, Any]) -> None:
    scans = read_manifest(folder / "manifest.json")
    active = load_bundle(Path(request["active"]))
    tell = _teller("features of the series")
    seen, unread = features_of(active, scans, Path(request["features"]), request["device"], tell)
    training, test = ([one for one in seen if one.scan.split == part] for part in (TRAINING, TEST))
    _check(training)
    learned = _learn(request, active, training)
    calibration = fit(learned.held_out, learned.labels, shifted=True)
    calibration.put_into(learned.network)
    target = float(request["target_sensitivity"])
    thresholds = operating_points(learned.held_out.scores(calibration), learned.labels, active.thresholds, target)
    before = scan_scores(network_of(active), test, active.preprocessing)
    metrics = measured(_test_set(test, learned.scored(test), before), thresholds)
    card = local_card(active, request, folder, training, test, len(unread), thresholds, metrics, learned.how)
    kept = active if learned.how["recipe"]["optimisation"]["frozen_cnn"] else None
    bundle = publish(folder / "candidate", learned.network, card, kept)
    try_bundle(bundle.folder)
    _judge(folder, request, bundle.folder, [one.scan for one in test])


@dataclass(frozen=True, slots=True, eq=False)
class _Learned:
    """A network, and what another one like it says of patients that it had not seen, with their labels."""

    network: CnnLstm
    held_out: Logits
    labels: NDArray[np.float32]
    how: dict[str, Any]
    scored: Callable[[Sequence[Features]], NDArray[np.float32]]


def _learn(request: dict[str, Any], active: Bundle, training: Sequence[Features]) -> _Learned:
    """Let the whole network learn where that is asked for, or a GPU has room for it; else what lies above the CNN."""
    gpu = torch.cuda.is_available() and request["device"] != "cpu"
    if request["recipe"] == "head" or (request["recipe"] == "auto" and not gpu):
        return _learned("head", request, active, training, "cpu")
    try:
        return _learned("fine-tune", request, active, training, "cuda" if gpu else "cpu")
    except OutOfMemory:
        if request["recipe"] == "cnn":
            raise
        _say({"stage": "the CNN does not fit into memory: only what lies above it learns", "done": 0, "of": 1})
    return _learned("head", request, active, training, "cpu")


def _learned(name: str, request: dict[str, Any], active: Bundle, training: Sequence[Features], device: str) -> _Learned:
    recipe, state = read_recipe(name).of(active), network_of(active).state_dict()
    cache = Path(request["features"])

    def seen(some: Sequence[Features]) -> Sequence[GridScan | Features]:
        return some if recipe.on_features else [grid_scan(one.scan, recipe.preprocessing, cache) for one in some]

    def taught(some: Sequence[Features], seed: int, tell: Callable[[int, int], None]) -> CnnLstm:
        material = Material.of_features(some) if recipe.on_features else Material(seen(some))
        setting = Setting(
            Processes(device=torch.device(device)), tell=lambda step, steps, _loss, _rate: tell(step + 1, steps)
        )
        return material.teach(recipe, seed, setting, cache, state)

    def scored(network: CnnLstm, some: Sequence[Features]) -> NDArray[np.float32]:
        return scan_scores(network, seen(some), recipe.preprocessing)

    held, said = list[Features](), list[torch.Tensor]()
    parts = folds(training, FOLDS, SEED)[: FOLDS if recipe.on_features else 1]
    tell = _teller("cross-validation by patient")
    for fold, part in enumerate(parts):
        rest = [one for one in training if one.patient not in part]
        held += (aside := [one for one in training if one.patient in part])
        network = taught(rest, SEED + fold + 1, _of_fold(tell, fold, len(parts)))
        said += [logits_of(network, one, recipe.preprocessing) for one in seen(aside)]
    network = taught(training, SEED, _teller("training"))
    how = {"recipe": as_values(recipe), "seed": SEED, "device": device}
    return _Learned(network, Logits.of_scans(said), labels_of(held), how, lambda some: scored(network, some))


def _of_fold(tell: Callable[[int, int], None], fold: int, count: int) -> Callable[[int, int], None]:
    return lambda done, of: tell(fold * of + done, count * of)


def _judge(folder: Path, request: dict[str, Any], candidate: Path, scans: Sequence[Scan]) -> None:
    tests = [scan for scan in scans if scan.split == TEST]
    bundles = {"active": load_bundle(Path(request["active"])), "candidate": load_bundle(candidate)}
    scored: dict[str, tuple[list[Features], NDArray[np.float32]]] = {}
    for who, bundle in bundles.items():
        tell = _teller(f"test set, {who} model")
        seen, _ = features_of(bundle, tests, Path(request["features"]), request["device"], tell)
        scored[who] = seen, scan_scores(network_of(bundle), seen, bundle.preprocessing)
    seen, new, old, unread = paired(scored["candidate"], scored["active"])
    thresholds = {who: bundle.thresholds for who, bundle in bundles.items()}
    checks = judge(
        _test_set(seen, new, old), thresholds, int(request["least_judges"]), float(request["margin"]),
        float(request["target_sensitivity"]),
    )  # fmt: skip
    if unread:
        sentence = f"The candidate cannot read {unread} scan(s) of the test set that the active model reads."
        checks.append(Check("readable", False, sentence, {"scans": unread}))
    if request["phantoms"] != "none":
        checks.append(_on_phantoms(bundles, request))
    judgement = {
        "passed": all(check.passed for check in checks),
        "against": bundles["active"].digest, "candidate": bundles["candidate"].digest,
        "checks": [check.as_json() for check in checks],
        "test_set": sorted(one.scan.digest for one in seen), "code": request["code"], "at": request["at"],
    }  # fmt: skip
    (folder / "judgement.json").write_text(json.dumps(judgement, indent=1), encoding="utf-8")


def paired(
    candidate: tuple[Sequence[Features], NDArray[np.float32]], active: tuple[Sequence[Features], NDArray[np.float32]]
) -> tuple[list[Features], NDArray[np.float32], NDArray[np.float32], int]:
    """Bring together what two models say of the scans that both can read.

    Parameters
    ----------
    candidate, active
        Scans, and their scores of shape (scans, 6).

    Returns
    -------
    (scans, scores of the candidate, scores of the active model, how many scans only the active one reads)
    """
    old = {one.scan.series: row for one, row in zip(*active, strict=True)}
    both = [(one, row) for one, row in zip(*candidate, strict=True) if one.scan.series in old]
    shape = (len(both), len(CLASSES))
    return (
        [one for one, _ in both],
        np.array([row for _, row in both], np.float32).reshape(shape),
        np.array([old[one.scan.series] for one, _ in both], np.float32).reshape(shape),
        len(old) - len(both),
    )


def _on_phantoms(bundles: dict[str, Bundle], request: dict[str, Any]) -> Check:
    from .phantom_suite import judge as judge_phantoms

    folders = [bundles[who].folder for who in ("active", "candidate")]
    active, candidate = judge_phantoms(
        folders, request["phantoms"], device=request["device"], told=_teller("phantoms, both models")
    )
    return phantoms(active, candidate)


def labels_of(seen: Sequence[Features]) -> NDArray[np.float32]:
    """Return the labels of scans, shape (scans, 6), NaN where unknown."""
    return np.stack([one.scan_labels for one in seen]) if seen else np.zeros((0, len(CLASSES)), np.float32)


def _check(training: Sequence[Features]) -> None:
    for value, what in ((1, "with"), (0, "without")):
        patients = {one.patient for one in training if one.scan_labels[0] == value}
        if len(patients) < FOLDS:
            raise TooLittle(f"Only {len(patients)} patients {what} haemorrhage are there to learn from.")


def _test_set(seen: Sequence[Features], candidate: NDArray[np.float32], active: NDArray[np.float32]) -> TestSet:
    return TestSet([one.patient for one in seen], labels_of(seen), active, candidate)


def _teller(stage: str) -> Callable[[int, int], None]:
    last = 0.0

    def tell(done: int, of: int) -> None:
        nonlocal last
        if done == of or time.monotonic() - last >= TOLD_EVERY_S:
            last = time.monotonic()
            _say({"stage": stage, "done": done, "of": of})

    return tell


def _say(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _end_with_the_node() -> None:
    for _ in sys.stdin:
        pass
    os._exit(1)
