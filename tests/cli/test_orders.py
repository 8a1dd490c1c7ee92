"""``ichnode backfill`` and ``ichnode priors`` without an archive: what they order, list, stop and refuse."""

from __future__ import annotations

import pytest

from ichnode.config import Settings
from ichnode.steps.node import open_node
from ichnode.worklist import deliveries
from tests.made import Clock, analysed_series, study_facts


@pytest.fixture
def config(tmp_path, data):
    file = tmp_path / "c.toml"
    file.write_text(
        f'[node]\ndata = "{data}"\n[source]\naet = "PACS"\nhost = "127.0.0.1"\nport = 1\nretrieve = "c-get"\n'
    )
    node = open_node(Settings.model_validate({"node": {"data": str(data)}}))
    analysed_series(node.worklist, Clock(), study_facts("a"), 0.1)
    node.worklist.dispose()
    return "--config", file


def test_an_order_is_placed_listed_and_stopped(ichnode, config):
    days = ("--from", "2026-01-01", "--to", "2026-01-31")
    placed = ichnode("backfill", *config, *days, "--between", "19:00-06:00", "--no-wait")
    assert (placed.code, placed.out) == (0, "Order 1: 2026-01-01 to 2026-01-31, between 19:00-06:00.\n")
    assert "open     backfill, 20260101 to 20260131: 0 of 0" in ichnode("backfill", *config, "--list").out
    assert ichnode("backfill", *config, "--stop", 1).code == 0
    assert ichnode("backfill", *config, "--stop", 1).code == 1
    assert "stopped" in ichnode("backfill", *config, "--list").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--from, --list or --stop"),
        (("--from", "2026-01-02", "--to", "2026-01-01"), "before"),
        (("--from", "2026-01-02", "--between", "19-6"), "19:00-06:00"),
    ],
)
def test_what_cannot_be_ordered(ichnode, config, arguments, said):
    refused = ichnode("backfill", *config, *arguments)
    assert refused.code == 2
    assert said in refused.err


def test_priors_of_a_study_and_of_none(ichnode, config):
    assert ichnode("priors", *config, "1", "--no-wait").out == "Order 1: priors of study 1.\n"
    assert ichnode("priors", *config, "99").code == 1


def test_an_archive_that_is_not_there_is_said(ichnode, config):
    counted = ichnode("backfill", *config, "--from", "2026-01-01", "--dry-run")
    assert counted.code == 1
    assert "no connection" in counted.err


def test_why_an_order_does_not_go_on_is_said(ichnode, config, data, monkeypatch):
    monkeypatch.setenv("ICHNODE_RECEIVE__LOW_DISK_BYTES", "0")
    monkeypatch.setenv("ICHNODE_RETENTION__FREE_BYTES", "0")
    assert ichnode("backfill", *config, "--from", "2026-01-01", "--no-wait").code == 0
    assert "GiB free" not in ichnode("backfill", *config, "--list").out
    monkeypatch.setenv("ICHNODE_RETENTION__FREE_BYTES", str(1 << 60))
    assert "GiB free: orders wait, live slices do not. Free space." in ichnode("backfill", *config, "--list").out
    monkeypatch.setenv("ICHNODE_RETENTION__FREE_BYTES", "0")
    node = open_node(Settings.model_validate({"node": {"data": str(data)}}))
    with node.worklist.write() as tx:
        deliveries.break_circuit(tx, node.now(), "[source] order 1", "It answers with too many studies.", 60)
    node.worklist.dispose()
    said = ichnode("backfill", *config, "--list").out
    assert "The archive does not tell more of it: It answers with too many studies." in said
