"""The gate lets through what is as good, and stops what is worse: overall, by subtype, by calibration, on phantoms."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ichnode_training.gate import TestSet, judge, phantoms
from ichnode_training.phantom_suite import Case, figures

from ichnode.core.findings import CLASSES

POINTS = {who: dict.fromkeys(CLASSES, 0.5) for who in ("active", "candidate")}


@pytest.fixture
def labels():
    """Sixty patients, half of them bleed, each into one compartment; the last patient has a second scan."""
    made = np.zeros((61, 6), np.float32)
    for index in range(30):
        made[index, 0] = made[index, 1 + index % 5] = 1
    return made


PATIENTS = [f"p{index}" for index in range(60)] + ["p59"]


def scores(labels, seed, noise=0.15):
    """Good scores: the truth, blurred."""
    rng = np.random.default_rng(seed)
    return np.clip(np.nan_to_num(labels) * 0.6 + 0.2 + rng.normal(0, noise, labels.shape), 0.01, 0.99).astype(
        np.float32
    )


def asked(labels, active, candidate, **other):
    given = {"thresholds": POINTS, "least": 8, "margin": 0.01, "target": 0.9, **other}
    return {check.name: check for check in judge(TestSet(PATIENTS, labels, active, candidate), **given)}


def test_the_same_model_passes(labels):
    same = scores(labels, 1)
    checks = asked(labels, same, same)
    assert {name for name, check in checks.items() if not check.passed} == set()
    assert checks["auc"].figures["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert checks["test set"].figures == {"patients": 60, "positives": 30, "negatives": 30}


def test_a_better_one_passes(labels):
    assert asked(labels, scores(labels, 1, 0.4), scores(labels, 2, 0.05))["auc"].passed


def test_a_worse_one_is_refused(labels):
    check = asked(labels, scores(labels, 1, 0.1), scores(labels, 2, 0.8))["auc"]
    assert not check.passed
    assert check.figures["difference"]["high"] < 0
    assert "may be worse by more than 0.01" in check.sentence


def test_what_may_be_worse_by_more_than_the_margin_is_refused_though_its_figure_is_the_same(labels):
    """Too few patients to know: not the benefit of the doubt."""
    few = labels[[*range(8), *range(30, 38)]]
    old, new = scores(few, 3, 0.35), scores(few, 4, 0.35)
    test = TestSet([f"p{i}" for i in range(16)], few, old, new)
    checks = {check.name: check for check in judge(test, POINTS, 8, 0.01, 0.9)}
    assert checks["auc"].figures["difference"]["low"] < -0.01
    assert not checks["auc"].passed


def test_a_drop_of_one_subtype_is_refused_though_the_whole_is_as_good(labels):
    active = scores(labels, 1, 0.05)
    candidate = active.copy()
    candidate[:, 3] = 1 - candidate[:, 3]
    checks = asked(labels, active, candidate)
    assert checks["auc"].passed
    assert [name for name, check in checks.items() if not check.passed] == ["subarachnoid"]


def test_a_subtype_that_too_few_bear_is_not_judged_and_says_so(labels):
    labels[labels[:, 4] == 1, 4] = np.nan
    check = asked(labels, scores(labels, 1), 1 - scores(labels, 1))["subdural"]
    assert check.passed and check.sentence == "Not judged: 0 patients with it."


def test_scores_that_mean_less_are_refused(labels):
    active = scores(labels, 1, 0.02)
    active[:, 0] = np.where(labels[:, 0] == 1, 0.97, 0.03)
    candidate = active.copy()
    candidate[:, 0] = np.where(labels[:, 0] == 1, 0.55, 0.45)
    checks = asked(labels, active, candidate)
    assert checks["auc"].passed
    assert not checks["calibration"].passed


def test_an_operating_point_that_misses_its_target_is_refused(labels):
    same = scores(labels, 1, 0.05)
    high = {**POINTS, "candidate": dict.fromkeys(CLASSES, 0.995)}
    check = asked(labels, same, same, thresholds=high)["operating point"]
    assert not check.passed
    assert check.figures["sensitivity"]["value"] == 0


def test_without_patients_of_both_kinds_it_never_passes(labels):
    labels[:30, 0] = np.nan
    checks = asked(labels, scores(labels, 1), scores(labels, 1))
    assert list(checks) == ["test set"] and not checks["test set"].passed


def test_too_few_patients_are_too_few(labels):
    assert not asked(labels, scores(labels, 1), scores(labels, 1), least=31)["test set"].passed


def suite(missed=(), false_alarms=0):
    """Figures of five heads with each kind of blood and ten without, as the suite gives them."""
    wanted = Counter(missed)
    cases = []
    for kind in CLASSES[1:]:
        for place in range(5):
            cases.append(read(kind, 0.1 if place < wanted[kind] else 0.9))
    cases += [read("none", 0.9 if place < false_alarms else 0.1) for place in range(10)]
    return figures(cases, dict.fromkeys(CLASSES, 0.5), "digest", "small")


def read(kind, score):
    scores, labels = np.full((4, 6), 0.1, np.float32), np.zeros((4, 6), np.uint8)
    scores[2, 0] = score
    if kind != "none":
        labels[2, [0, CLASSES.index(kind)]] = 1
    return Case(0, kind, 5.0, 50.0, (), labels, scores)


@pytest.mark.parametrize(
    ("candidate", "passed"),
    [
        (suite(), True),
        (suite(["epidural"]), True),  # one head of five
        (suite(["epidural", "epidural"]), False),
        (suite(["epidural", "subdural", "subarachnoid"]), False),  # one of each, and too many in all
        (suite(false_alarms=1), True),
        (suite(false_alarms=2), False),
    ],
)
def test_phantoms(candidate, passed):
    check = phantoms(suite(), candidate)
    assert check.passed is passed
    assert ("is worse on phantoms" in check.sentence) is not passed
