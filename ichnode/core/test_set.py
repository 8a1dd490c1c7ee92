"""The node's own test set: which patients judge a model and never teach one. Fixed once, and growing by rule."""

from __future__ import annotations

from collections.abc import Mapping

from ichnode.core.identity import digest_of

TEST, TRAINING = "test", "training"


def assign(bleeds: Mapping[str, bool], kept: Mapping[str, str], share: float) -> dict[str, str]:
    """Give each patient that has none a part.

    Who has a part keeps it for ever, so that no model is judged by a patient that taught it or one before it. New
    patients with and without haemorrhage are dealt apart, in an order that says nothing about them, so that each time
    the test set holds its share of both.

    Parameters
    ----------
    bleeds : mapping of patient to whether any scan of theirs shows haemorrhage
    kept : mapping of patient to part
    share : float
        Of the patients that are to be in the test set, 0..1.

    Returns
    -------
    dict of new patient to part
    """
    parts: dict[str, str] = {}
    for kind in (True, False):
        group = sorted((p for p in bleeds if bleeds[p] is kind), key=lambda patient: digest_of(patient.encode()))
        tests = sum(kept.get(patient) == TEST for patient in group)
        count = sum(patient in kept for patient in group)
        for patient in group:
            if patient not in kept:
                count += 1
                parts[patient] = TEST if tests + 1 <= share * count else TRAINING
                tests += parts[patient] == TEST
    return parts
