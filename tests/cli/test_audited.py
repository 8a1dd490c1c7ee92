"""Whoever sees a patient or changes something by a command is in the audit journal, as on the pages."""

from __future__ import annotations

import click
import pytest

from ichnode.cli.ichnode import group
from ichnode.config import Settings
from ichnode.steps import register
from ichnode.steps.node import existing_node
from ichnode.steps.register import settle_active
from ichnode.worklist import audit
from tests.bundles import write_tiny_bundle

NOT_AUDITED = {
    "analyse": "reads files that it is given",
    "config check": "reads the configuration", "config show": "reads the configuration",
    "doctor": "shows no patient",
    "echo": "asks a peer", "evaluate": "reads a data set", "explain": "reads files that it is given",
    "healthy": "asks the node", "model list": "shows no patient", "model show": "shows no patient",
    "notify test": "is about no patient", "phantom": "makes a head of nobody", "phantom-suite": "heads of nobody",
    "send": "sends files that it is given", "serve": "the node writes its own rows", "token list": "shows no patient",
    "user list": "shows no patient",
}  # fmt: skip
HERE = {
    ("show 3",): [("study.viewed", 3, {})],
    ("worklist",): [("worklist.viewed", None, {"studies": [3, 2, 4, 1]})],
    ("worklist --json --limit 1",): [("worklist.viewed", None, {"studies": [3]})],
    ("retract 3 --because wrong-result --yes",): [("study.retracted", 3, {"because": "wrong-result"})],
    ("retry 2",): [("node.retried", 2, {"analyses": 1, "deliveries": 0, "retrievals": 0})],
    ("retry --all",): [("node.retried", None, {"analyses": 1, "deliveries": 2, "retrievals": 0})],
    ("prune",): [("node.pruned", None, {"series": 0, "forgotten": 0})],
    ("model import OTHER",): [("model.imported", None, {"model": "DIGEST"})],
    ("model import OTHER", "model shadow DIGEST", "model shadow --stop"): [
        ("model.imported", None, {"model": "DIGEST"}), ("model.shadowed", None, {"model": "DIGEST"}),
        ("model.shadow_ended", None, {"model": "DIGEST"}),
    ],
    ("model import OTHER", "model promote DIGEST --force --because seen", "model rollback"): [
        ("model.imported", None, {"model": "DIGEST"}),
        ("model.promoted", None, {"model": "DIGEST", "forced_because": "seen"}),
        ("model.rolled_back", None, {"model": "ACTIVE"}),
    ],
    ("model import OTHER", "model reject DIGEST --because seen"): [
        ("model.imported", None, {"model": "DIGEST"}),
        ("model.rejected", None, {"model": "DIGEST", "rejected_because": "seen"}),
    ],
}  # fmt: skip
ELSEWHERE = {
    "backfill", "backup", "priors", "export", "restore", "retrain", "model judge", "token add", "token revoke",
    "user add", "user password", "user role", "user disable",
}  # fmt: skip
"""Held by the tests below, and by those of accounts, tokens, export, backup and lab."""


@pytest.fixture
def told(filled, monkeypatch, tiny_bundle, tmp_path):
    """Fill in what the lines above leave open; a node whose active model is the tiny bundle."""
    monkeypatch.setattr(register, "default_bundle_path", lambda: tiny_bundle.folder)
    settle_active(filled)
    other = write_tiny_bundle(tmp_path / "other", seed=8)
    names = {"OTHER": str(other.folder), "DIGEST": other.digest, "ACTIVE": tiny_bundle.digest}

    def told(text):
        for name, value in names.items():
            text = text.replace(name, value)
        return text

    return told


def journal(node):
    with node.worklist.read() as tx:
        return [(r["who"], r["what"], r["study_id"], r["detail"]) for r in reversed(audit.latest(tx))]


@pytest.mark.parametrize(("lines", "expected"), HERE.items(), ids=[" + ".join(lines) for lines in HERE])
def test_who_did_what(ichnode, filled, data, told, lines, expected):
    before = len(journal(filled))
    for line in lines:
        said = ichnode(*told(line).split(), "--data", data)
        assert said.code == 0, said.err
    who = audit.terminal().name
    expected = [(who, what, study, {k: told(v) if isinstance(v, str) else v for k, v in more.items()})
                for what, study, more in expected]  # fmt: skip
    assert journal(filled)[before:] == expected


@pytest.mark.parametrize("line", ["show nobody", "retry nobody", "retract nobody --because wrong-result --yes",
                                  "prune --dry-run", "model rollback", "model shadow --stop"])  # fmt: skip
def test_what_was_not_done_is_not_written(ichnode, filled, data, told, line):
    before = journal(filled)
    ichnode(*line.split(), "--data", data)
    assert journal(filled) == before


def test_orders_are_written_with_who_placed_them(ichnode, filled, data, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        f'[node]\ndata = "{data}"\n[source]\naet = "PACS"\nhost = "127.0.0.1"\nport = 1\nretrieve = "c-get"\n'
    )
    for line in (
        "backfill --from 2026-01-01 --no-wait",
        "backfill --stop 1",
        "backfill --stop 1",
        "priors 1 --no-wait",
    ):
        ichnode(*line.split(), "--config", config)
    who = audit.terminal().name
    assert journal(filled) == [
        (who, "backfill.ordered", None, {"order": 1}), (who, "backfill.stopped", None, {"order": 1}),
        (who, "study.priors_ordered", 1, {"order": 2}),
    ]  # fmt: skip


def test_a_backup_and_what_is_restored_of_it(ichnode, node, data, tmp_path):
    assert ichnode("backup", tmp_path / "copy", "--data", data).code == 0
    assert ichnode("restore", tmp_path / "copy", "--data", tmp_path / "new").code == 0
    restored = existing_node(Settings.model_validate({"node": {"data": str(tmp_path / "new")}}))
    assert [row[:2] for row in journal(node)] == [(audit.terminal().name, "node.backup_begun")]
    assert journal(restored) == [*journal(node), (audit.terminal().name, "node.restored", None, {})]
    restored.worklist.dispose()


def test_behind_sudo_it_is_who_called(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "grace")
    assert audit.terminal().name == "terminal:grace"


def test_no_command_is_forgotten():
    """A new command says here whether it is in the journal."""
    context = click.Context(group)
    found = set()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        more = command.list_commands(context) if isinstance(command, click.Group) else [None]
        found |= {f"{name} {one}" if one else name for one in more}
    here = {
        " ".join(line.split()[:2]) if line.startswith("model") else line.split()[0] for lines in HERE for line in lines
    }
    assert found == here | ELSEWHERE | set(NOT_AUDITED)
