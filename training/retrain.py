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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from ichnode.errors import IchnodeError
from ichnode.inference.bundle import Bundle, load_bundle, write_bundle
from ichnode.inference.engine import try_bundle
from ichnode.inference.network import CnnLstm

from .cnn_tuning import CnnRecipe, fine_tune, tuned_scores
from .feature_head import HeadRecipe, folds_of, out_of_fold, train_head
from .gate import Check, TestSet, judge, phantoms
from .local_card import local_card, measured, operating_points
from .local_data import (
    TEST,
    TRAINING,
    LocalScan,
    Seen,
    labels_of,
    network_of,
    of_part,
    read_manifest,
    scan_scores,
    see,
)
from .scan_calibration import fit

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
    seen, unread = see(
        active.folder, scans, Path(request["features"]), request["device"], _teller("features of the series")
    )
    training, test = of_part(seen, TRAINING), of_part(seen, TEST)
    _check(training)
    learned = _learn(request, active, training)
    network, start = learned.network, network_of(active)
    calibration = fit(learned.held_out, learned.labels)
    calibration.put_into(network)
    thresholds = operating_points(
        calibration.apply(learned.held_out), learned.labels, active.thresholds, float(request["target_sensitivity"])
    )
    metrics = measured(_test_set(test, learned.scored(test), scan_scores(start, test)), thresholds)
    card = local_card(active, request, folder, training, test, unread, thresholds, metrics, learned.how)
    tensors = network.state_dict()
    if learned.how["recipe"] == "head":  # to the bit as it was, so that the features that are kept are the candidate's
        tensors |= {name: t for name, t in load_file(active.weights).items() if name.startswith("cnn.")}
    bundle = write_bundle(folder / "candidate", card, tensors)
    try_bundle(bundle.folder)
    _judge(folder, request, bundle.folder, [one.scan for one in test])


@dataclass(frozen=True, slots=True, eq=False)
class _Learned:
    """A network, and scores of patients that another one like it had not seen, with their labels."""

    network: CnnLstm
    held_out: NDArray[np.float32]
    labels: NDArray[np.float32]
    how: dict[str, Any]
    scored: Callable[[Sequence[Seen]], NDArray[np.float32]]


def _learn(request: dict[str, Any], active: Bundle, training: Sequence[Seen]) -> _Learned:
    gpu = torch.cuda.is_available() and request["device"] != "cpu"
    if request["recipe"] == "cnn" or (request["recipe"] == "auto" and gpu):
        return _learn_all(request, active, training, "cuda" if gpu else "cpu")
    start, recipe = network_of(active), HeadRecipe()
    held_out = out_of_fold(start, training, recipe, SEED, _teller("cross-validation by patient"))
    network = train_head(start, training, recipe, SEED, _teller("training"))
    how = {"recipe": "head", **asdict(recipe), "seed": SEED}
    return _Learned(network, held_out, labels_of(training), how, lambda seen: scan_scores(network, seen))


def _learn_all(request: dict[str, Any], active: Bundle, training: Sequence[Seen], device: str) -> _Learned:
    """Fine-tune the whole network; one that has not seen a quarter of the patients says how well that works."""
    start, recipe, how = network_of(active), CnnRecipe(), active.preprocessing
    kept = Path(request["features"])
    aside = folds_of(training, 4, SEED)[0]
    held = [training[index] for index in sorted(aside)]
    rest = [one for index, one in enumerate(training) if index not in aside]
    trial = fine_tune(start, rest, how, kept, recipe, SEED, device, _teller("training without a quarter"))
    network = fine_tune(start, training, how, kept, recipe, SEED, device, _teller("training"))
    said = {"recipe": "cnn", **asdict(recipe), "seed": SEED, "device": device}
    return _Learned(
        network, tuned_scores(trial, held, how, kept), labels_of(held), said,
        lambda seen: tuned_scores(network, seen, how, kept),
    )  # fmt: skip


def _judge(folder: Path, request: dict[str, Any], candidate: Path, scans: Sequence[LocalScan]) -> None:
    tests = [scan for scan in scans if scan.part == TEST]
    bundles = {"active": load_bundle(Path(request["active"])), "candidate": load_bundle(candidate)}
    scored: dict[str, tuple[list[Seen], NDArray[np.float32]]] = {}
    for who, bundle in bundles.items():
        tell = _teller(f"test set, {who} model")
        seen, _ = see(bundle.folder, tests, Path(request["features"]), request["device"], tell)
        scored[who] = seen, scan_scores(network_of(bundle), seen)
    (seen, new), (_, old) = scored["candidate"], scored["active"]
    thresholds = {who: bundle.thresholds for who, bundle in bundles.items()}
    checks = judge(
        _test_set(seen, new, old), thresholds, int(request["least_judges"]), float(request["margin"]),
        float(request["target_sensitivity"]),
    )  # fmt: skip
    if request["phantoms"] != "none":
        checks.append(_on_phantoms(bundles, request))
    judgement = {
        "passed": all(check.passed for check in checks),
        "against": bundles["active"].digest, "candidate": bundles["candidate"].digest,
        "checks": [check.as_json() for check in checks],
        "test_set": sorted(one.scan.content for one in seen), "code": request["code"], "at": request["at"],
    }  # fmt: skip
    (folder / "judgement.json").write_text(json.dumps(judgement, indent=1), encoding="utf-8")


def _on_phantoms(bundles: dict[str, Bundle], request: dict[str, Any]) -> Check:
    from .phantom_suite import judge as judge_phantoms

    judged = {
        who: judge_phantoms(
            bundle.folder, request["phantoms"], device=request["device"], told=_teller(f"phantoms, {who} model")
        )
        for who, bundle in bundles.items()
    }
    return phantoms(judged["active"], judged["candidate"])


def _check(training: Sequence[Seen]) -> None:
    bleeds = labels_of(training)[:, 0]
    for value, what in ((1, "with"), (0, "without")):
        patients = {one.scan.patient for one, label in zip(training, bleeds, strict=True) if label == value}
        if len(patients) < HeadRecipe().folds:
            raise TooLittle(f"Only {len(patients)} patients {what} haemorrhage are there to learn from.")


def _test_set(seen: Sequence[Seen], candidate: NDArray[np.float32], active: NDArray[np.float32]) -> TestSet:
    return TestSet([one.scan.patient for one in seen], labels_of(seen), active, candidate)


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
