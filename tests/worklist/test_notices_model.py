"""Whatever happens between a node, a channel and the wire: in the end the channel believes what is so."""

from __future__ import annotations

import shutil
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ichnode.core.alerts import Ladder, Rule
from ichnode.worklist import deliveries, notices, retractions, schema
from ichnode.worklist.database import Worklist
from tests.made import Clock, analysed_series, rows

RULES = {"oncall": Rule(), "ris": Rule(("positive", "negative")), "chief": Rule(("failed",)),
         "ehr": Rule(("positive", "negative"), keeps_records=True)}  # fmt: skip
LADDERS = {"oncall": Ladder(((1.0, "oncall"), (2.0, "chief")))}
ACTS = (
    "complete",
    "flip",
    "flip unseen",
    "flip in flight",
    "retract",
    "taken",
    "lost before",
    "lost after",
    "died",
    "later",
)


class World:
    """One study, three channels, and what the people behind them have heard."""

    def __init__(self, file):
        self.worklist, self.clock = Worklist(f"sqlite:///{file}"), Clock()
        self.heard = {name: [] for name in RULES}
        self.lost = False
        analysed_series(self.worklist, self.clock, score=0.9, destinations=())
        self.look()

    def act(self, name):
        self.clock.forward(1)
        if name.startswith("flip"):
            claimed = self.claim() if name == "flip in flight" else []
            self.result(0.1 if self.current()["verdict"] == "positive" else 0.9)
            if name != "flip unseen":
                self.look()
            self.end(claimed, "lost before")
        elif name == "complete":
            self.result(self.current()["any_score"], preliminary=False)
            self.look()
        elif name == "retract":
            with self.worklist.write() as tx:
                retractions.retract(tx, self.clock(), [1], retractions.WRONG_RESULT, "")
            self.look()
        elif name == "later":
            self.clock.forward(120)
            self.look()
        else:
            self.end(self.claim(), name)

    def current(self):
        (current,) = [row for row in rows(self.worklist, schema.results) if row["superseded_at"] is None]
        return current

    def result(self, score, preliminary=True):
        """A new revision, as `results.finish` leaves it."""
        (*_, last) = rows(self.worklist, schema.results)
        findings = [{**finding, "score": score} for finding in last["outcome"]["findings"]]
        made = {**last, "id": None, "superseded_at": None, "retraction": None, "created_at": self.clock()}
        made["preliminary"] = preliminary
        made |= {"outcome": {**last["outcome"], "findings": findings}, "any_score": score}
        made["verdict"] = "positive" if score > 0.5 else "negative"
        with self.worklist.write() as tx:
            tx.execute(schema.results.update().values(superseded_at=self.clock()))
            tx.execute(schema.results.insert().values(made))
            notices.look_again(tx, self.clock(), 1)

    def look(self):
        found = []
        while True:
            with self.worklist.write() as tx:
                filed = notices.announce(tx, self.clock(), RULES, LADDERS)
                filed = notices.escalate(tx, self.clock(), LADDERS) if filed is None else filed
            if filed is None:
                return found
            found += filed

    def claim(self):
        with self.worklist.write() as tx:
            return [one for name in RULES for one in deliveries.claim_deliveries(tx, self.clock(), name, "boot")]

    def end(self, claimed, how):
        known = {row["id"]: row for row in rows(self.worklist, schema.notices)}
        for delivery in claimed:
            self.lost |= how != "taken"
            if how in ("taken", "lost after", "died"):
                self.heard[delivery.destination].append(known[delivery.notice_id])
            with self.worklist.write() as tx:
                if how == "taken":
                    deliveries.accepted(tx, self.clock(), delivery, None)
                elif how == "died":
                    deliveries.release_sending(tx, self.clock(), destination=delivery.destination)
                else:
                    deliveries.try_again(tx, self.clock(), delivery, None, "Lost.", 1, 1e9)

    def settle(self):
        for _ in range(20):
            self.clock.forward(120)
            filed = self.look()
            before = sum(map(len, self.heard.values()))
            self.end(self.claim(), "taken")
            if not filed and before == sum(map(len, self.heard.values())):
                return
        raise AssertionError("it never ends")


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(ACTS), max_size=8))
def test_in_the_end_every_channel_believes_what_is_so(tmp_path_factory, empty_worklist, acts):
    file = shutil.copy(empty_worklist, tmp_path_factory.mktemp("world"))
    world = World(file)
    try:
        for name in acts:
            world.act(name)
        world.settle()
        current = world.current()
        called = "retracted" if current["retraction"] else current["verdict"]
        believed = {name: heard[-1]["called"] if heard else None for name, heard in world.heard.items()}
        for name in RULES:
            if called == "positive" and name != "chief":
                assert believed[name] == "positive", f"{name} does not know of it after {acts}"
            elif called != "positive":
                assert believed[name] != "positive", f"{name} still believes it after {acts}"
        said = [row for row in world.heard["ehr"] if row["kind"] != "escalation"]
        if said and not current["preliminary"]:
            assert not said[-1]["preliminary"], f"the record stays preliminary after {acts}"
        for heard in world.heard.values():
            steps = [
                (row["escalates_id"], row["step"]) for row in {row["id"]: row for row in heard}.values() if row["step"]
            ]
            assert len(set(steps)) == len(steps)
            if not world.lost:
                told = [row["called"] for row in heard if row["kind"] not in ("escalation", "final")]
                assert all(one != other for one, other in pairwise(told)), "nothing is said twice"
                assert len({row["id"] for row in heard}) == len(heard)
    finally:
        world.worklist.dispose()
