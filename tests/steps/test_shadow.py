"""A shadow reads what was answered, keeps what it says apart, and can reach no destination."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from ichnode.inference.engine import Engine
from ichnode.steps import shadow
from ichnode.steps.analyse import analyse_next
from ichnode.steps.assemble import assemble_due
from ichnode.steps.register import IMPORT, take_in
from ichnode.steps.shadow import shadow_next
from ichnode.worklist import assembly, model_tables, models, schema, shadows
from tests.bundles import write_tiny_bundle
from tests.made import events, rows
from tests.steps.spooled import put, started

OWNER = "first boot/worker"
SENT = (schema.results, schema.reports, schema.deliveries, schema.notices, schema.jobs, schema.commitments)


@pytest.fixture(scope="session")
def engine(tiny_bundle):
    return Engine.load(tiny_bundle.folder, "cpu", 1)


@pytest.fixture(scope="session")
def other_engine(tmp_path_factory):
    return Engine.load(write_tiny_bundle(tmp_path_factory.mktemp("other"), seed=8).folder, "cpu", 1)


@pytest.fixture
def node(make_node, clock, slice_files, engine, other_engine):
    """A node with a shadow and one series that waits for the active model."""
    pacs = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 1, "formats": ["sr", "sc"]}
    node = make_node(destinations=[pacs])
    take_in(node, other_engine.bundle.folder, IMPORT)
    with node.worklist.write() as tx:
        models.shadow(tx, clock(), other_engine.bundle.digest)
    for file in slice_files:
        put(node, file)
    started(node)
    boot_at = clock()
    clock.forward(30)
    assemble_due(node, boot_at)
    return node


def answered(node, engine):
    assert analyse_next(node, engine, OWNER)
    return node


def test_it_waits_until_the_answer_is_committed(node, engine, other_engine):
    assert not shadow_next(node, other_engine)
    answered(node, engine)
    assert shadow_next(node, other_engine)
    assert not shadow_next(node, other_engine), "once"
    (row,) = rows(node.worklist, model_tables.shadow_results)
    assert (row["state"], row["model_digest"]) == ("done", other_engine.bundle.digest)
    (result,) = rows(node.worklist, schema.results)
    assert row["result_id"] == result["id"]
    assert row["outcome"]["order"] == result["outcome"]["order"]
    assert row["outcome"]["scores"] != result["outcome"]["scores"], "by another network"
    assert "explain" not in row["seconds"], "nobody looks at its heat maps"


def test_nothing_that_is_sent_can_be_written_by_it(node, engine, other_engine):
    """The database itself refuses: were there a path from a shadow to the outbox, this would fail."""
    answered(node, engine)
    before = [rows(node.worklist, table) for table in SENT], sorted((node.spool.root / "reports").iterdir())
    with node.worklist.write() as tx:
        for table in SENT:
            for act in ("INSERT", "UPDATE", "DELETE"):
                tx.execute(text(
                    f"CREATE TRIGGER {act.lower()}_{table.name} BEFORE {act} ON {table.name} "
                    "BEGIN SELECT RAISE(ABORT, 'a shadow wrote here'); END"
                ))  # fmt: skip
    assert shadow_next(node, other_engine)
    after = [rows(node.worklist, table) for table in SENT], sorted((node.spool.root / "reports").iterdir())
    assert after == before
    assert rows(node.worklist, model_tables.shadow_results)[0]["state"] == "done"


def test_nothing_refers_to_what_it_says():
    referring = [
        table.name
        for table in schema.metadata.tables.values()
        if any(key.column.table is model_tables.shadow_results for key in table.foreign_keys)
    ]
    assert referring == []


def test_what_was_answered_before_it_was_a_shadow_is_not_its_business(node, engine, other_engine, clock):
    answered(node, engine)
    clock.forward(1)
    with node.worklist.write() as tx:
        models.end_shadow(tx, clock())
    assert not shadow_next(node, other_engine), "it is none any more"
    with node.worklist.write() as tx:
        models.shadow(tx, clock(), other_engine.bundle.digest)
    assert not shadow_next(node, other_engine)


def test_an_engine_of_another_model_than_the_shadow_s_reads_nothing(node, engine):
    answered(node, engine)
    assert not shadow_next(node, engine)


def test_what_it_cannot_read_is_kept_as_failed_and_not_tried_again(node, engine, other_engine, monkeypatch):
    answered(node, engine)

    def broken(*_, **__):
        raise RuntimeError("of torch")

    monkeypatch.setattr(shadow, "interpret", broken)
    assert shadow_next(node, other_engine)
    (row,) = rows(node.worklist, model_tables.shadow_results)
    assert (row["state"], row["error"]) == ("failed", "An unexpected RuntimeError.")
    monkeypatch.undo()
    assert not shadow_next(node, other_engine)


def test_a_series_that_ended_its_process_is_given_up(node, engine, other_engine, clock):
    answered(node, engine)
    with node.worklist.write() as tx:
        assert shadows.claim(tx, clock(), other_engine.bundle.digest, clock.at.replace(year=2000)) is not None
        assert shadows.give_up_unfinished(tx, clock()) == 1
        assert shadows.give_up_unfinished(tx, clock()) == 0
        assert shadows.agreement(tx, other_engine.bundle.digest).failed == 1
    assert not shadow_next(node, other_engine)
    assert events(node.worklist)[-2:] == ["shadow.claimed", "shadow.given_up"]


def test_agreement_counts_verdicts_and_classes(node, engine, other_engine):
    answered(node, engine)
    shadow_next(node, other_engine)
    (result,) = rows(node.worklist, schema.results)
    (row,) = rows(node.worklist, model_tables.shadow_results)
    with node.worklist.read() as tx:
        agreement = shadows.agreement(tx, other_engine.bundle.digest)
    assert agreement.series == 1
    assert agreement.same == (result["verdict"] == row["verdict"])
    active, beside = (
        [finding["score"] >= finding["threshold"] for finding in one["outcome"]["findings"]] for one in (result, row)
    )
    cases = [(True, True), (True, False), (False, True), (False, False)]
    for pair, counts in zip(zip(active, beside, strict=True), agreement.classes.values(), strict=True):
        assert counts == tuple(int(pair == case) for case in cases)
    with node.worklist.write() as tx:
        changed = "negative" if result["verdict"] == "positive" else "positive"
        tx.execute(model_tables.shadow_results.update().values(verdict=changed))
        agreement = shadows.agreement(tx, other_engine.bundle.digest)
    assert agreement.same == 0
    assert agreement.only_active + agreement.only_shadow == (1,)


def test_a_series_that_was_read_again_counts_once_by_its_last_answer(node, engine, other_engine, clock):
    answered(node, engine)
    shadow_next(node, other_engine)
    with node.worklist.write() as tx:
        (series,) = rows(node.worklist, schema.series)
        tx.execute(schema.series.update().values(revision=2))
        assembly.queue_job(tx, clock(), series["id"], 2, "analyse", None)
    answered(node, engine)
    assert shadow_next(node, other_engine)
    assert len(rows(node.worklist, model_tables.shadow_results)) == len(rows(node.worklist, schema.results)) == 2
    digest, said = other_engine.bundle.digest, model_tables.shadow_results
    verdict = rows(node.worklist, schema.results)[1]["verdict"]
    other = "negative" if verdict == "positive" else "positive"
    said_same, said_other, failed = (verdict, "done"), (other, "done"), (None, "failed")
    cases = [
        (said_same, said_other, (1, 0, 0)), (said_other, said_same, (1, 1, 0)),
        (said_same, failed, (0, 0, 1)), (failed, said_same, (1, 1, 0)),
    ]  # fmt: skip
    for *both, expected in cases:
        with node.worklist.write() as tx:
            for (word, state), row in zip(both, rows(node.worklist, said), strict=True):
                tx.execute(said.update().where(said.c.id == row["id"]).values(verdict=word, state=state))
        with node.worklist.read() as tx:
            found = shadows.agreement(tx, digest)
        assert (found.series, found.same, found.failed) == expected
        assert sum(next(iter(found.classes.values()))) == found.series
        assert len(found.only_active + found.only_shadow) == found.series - found.same
