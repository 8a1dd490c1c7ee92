"""The order of the worklist, as everybody who reads it expects it."""

from __future__ import annotations

from ichnode.core.findings import Verdict
from ichnode.core.triage import PENDING_URGENCY, URGENCY


def test_what_may_be_bleeding_comes_first_and_what_needs_a_person_next():
    ranks = [URGENCY["positive"], URGENCY["failed"], PENDING_URGENCY, URGENCY["not_analysed"], URGENCY["negative"]]
    assert ranks == sorted(set(ranks))


def test_every_verdict_has_a_rank():
    assert {str(verdict) for verdict in Verdict} <= set(URGENCY)
