"""Which model is active, and that no bundle comes in that cannot be run."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from ichnode.config import Settings
from ichnode.errors import BundleError, PermanentError
from ichnode.inference.bundle import load_bundle
from ichnode.steps import register
from ichnode.steps.promote import promote, rollback
from ichnode.steps.register import IMPORT, active_digest, bundle_in_use, settle_active, take_in
from ichnode.worklist import model_tables, models, schema
from ichnode.worklist.audit import NODE
from tests.bundles import write_tiny_bundle
from tests.made import events, rows


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("other"), seed=8)


@pytest.fixture
def ships(monkeypatch, tiny_bundle):
    """``ships(bundle)``: what this version of ichnode brings along."""

    def bring(bundle):
        monkeypatch.setattr(register, "default_bundle_path", lambda: bundle.folder)

    bring(tiny_bundle)
    return bring


@pytest.fixture
def node(make_node):
    return make_node()


def with_bundle(node, folder):
    sections = node.settings.model_dump(mode="json")
    return replace(node, settings=Settings.model_validate({**sections, "engine": {"bundle": str(folder)}}))


def judged(node, digest, against, *, passed=True):
    checks = [{"name": "auc", "passed": passed, "sentence": "The AUC of any is 0.10 lower."}]
    with node.worklist.write() as tx:
        models.record_judgement(tx, node.now(), digest, {"passed": passed, "against": against, "checks": checks})


def test_the_one_that_ships_is_active_at_first_and_lies_in_the_data_folder(node, ships, tiny_bundle):
    with pytest.raises(BundleError, match="No model is active"):
        active_digest(node)
    assert settle_active(node) == active_digest(node) == tiny_bundle.digest
    assert load_bundle(node.models.path(tiny_bundle.digest)).digest == tiny_bundle.digest
    before = events(node.worklist)
    assert settle_active(node) == tiny_bundle.digest
    assert events(node.worklist) == before == ["model.registered", "model.installed"]


def test_a_newer_one_that_ships_replaces_an_older_one_that_shipped_and_nothing_else(
    node, ships, tiny_bundle, other_bundle, tmp_path
):
    settle_active(node)
    ships(other_bundle)
    assert settle_active(node) == other_bundle.digest
    third = write_tiny_bundle(tmp_path / "third", seed=9)
    take_in(node, third.folder, IMPORT)
    promote(node, third.digest, NODE, "a test")
    ships(tiny_bundle)
    assert settle_active(node) == third.digest


def test_what_the_configuration_names_wins_until_it_names_it_no_more(node, ships, tiny_bundle, other_bundle):
    settle_active(node)
    pinned = with_bundle(node, other_bundle.folder)
    assert settle_active(pinned) == other_bundle.digest
    with pytest.raises(PermanentError, match=r"engine\.bundle"):
        rollback(pinned, NODE)
    assert settle_active(node) == other_bundle.digest, "it stays active"
    assert rollback(node, NODE).digest == tiny_bundle.digest
    assert settle_active(node) == tiny_bundle.digest


def test_what_was_rejected_is_active_when_the_configuration_says_so(node, ships, other_bundle):
    settle_active(node)
    take_in(node, other_bundle.folder, IMPORT)
    with node.worklist.write() as tx:
        models.reject(tx, node.now(), other_bundle.digest, "no")
    assert settle_active(with_bundle(node, other_bundle.folder)) == other_bundle.digest


def test_a_damaged_copy_is_made_anew_from_what_it_was_copied_from(node, ships, tiny_bundle, other_bundle):
    pinned = with_bundle(node, other_bundle.folder)
    settle_active(pinned)
    card = node.models.path(other_bundle.digest) / "card.json"
    card.write_text("{}")
    settle_active(pinned)
    assert load_bundle(card.parent).digest == other_bundle.digest


def test_an_imported_bundle_is_a_candidate_once(node, other_bundle):
    kept, new = take_in(node, other_bundle.folder, IMPORT)
    assert (kept.folder, kept.digest, new) == (node.models.path(other_bundle.digest), other_bundle.digest, True)
    assert take_in(node, other_bundle.folder, IMPORT)[1] is False
    (row,) = rows(node.worklist, model_tables.models)
    assert (row["state"], row["origin"]) == ("candidate", "import")


def test_a_bundle_whose_weights_do_not_fit_never_comes_in(node, other_bundle, tmp_path):
    import json

    from safetensors.torch import load_file

    from ichnode.inference.bundle import write_bundle

    card = json.loads((other_bundle.folder / "card.json").read_text())
    card["architecture"]["hidden"] = 9
    bare = {name: part for name, part in card.items() if name not in ("format", "digest")}
    write_bundle(tmp_path / "misfit", bare, load_file(other_bundle.weights))
    with pytest.raises(BundleError, match="do not fit"):
        take_in(node, tmp_path / "misfit", IMPORT)
    assert rows(node.worklist, model_tables.models) == []
    assert not node.models.root.exists()


def test_a_candidate_has_to_pass_the_gate_against_the_model_that_is_active_now(node, ships, tiny_bundle, other_bundle):
    settle_active(node)
    take_in(node, other_bundle.folder, IMPORT)
    name = other_bundle.digest[:12]
    with pytest.raises(PermanentError, match=f"was never judged: `ichnode model judge {name}`"):
        promote(node, name, NODE)
    judged(node, other_bundle.digest, tiny_bundle.digest, passed=False)
    with pytest.raises(PermanentError, match=r"does not let .* through. The AUC of any is 0.10 lower\..*--force"):
        promote(node, name, NODE)
    judged(node, other_bundle.digest, "f" * 64)
    with pytest.raises(PermanentError, match="against another model"):
        promote(node, name, NODE)
    assert active_digest(node) == tiny_bundle.digest
    judged(node, other_bundle.digest, tiny_bundle.digest)
    row = promote(node, name, NODE, "a reason that is not needed")
    assert (row.state, row.forced_because) == ("active", None)


def test_forcing_is_recorded(node, ships, other_bundle):
    settle_active(node)
    take_in(node, other_bundle.folder, IMPORT)
    assert promote(node, other_bundle.digest, NODE, "the old one fails on our new scanner").forced_because is not None
    assert rows(node.worklist, schema.journal)[-1]["detail"]["forced_because"].startswith("the old one fails")


def test_nothing_is_promoted_or_rolled_back_to_whose_files_are_gone(node, ships, tiny_bundle, other_bundle):
    settle_active(node)
    take_in(node, other_bundle.folder, IMPORT)
    shutil.rmtree(node.models.path(other_bundle.digest))
    with pytest.raises(BundleError, match=r"cannot be read.*Import the same bundle again"):
        promote(node, other_bundle.digest, NODE, "because")
    take_in(node, other_bundle.folder, IMPORT)
    promote(node, other_bundle.digest, NODE, "because")
    shutil.rmtree(node.models.path(tiny_bundle.digest))
    with pytest.raises(BundleError, match=r"cannot be read.*Import the same bundle again"):
        rollback(node, NODE)
    assert active_digest(node) == other_bundle.digest


def test_without_a_server_the_node_s_own_model_is_used(node, ships, tiny_bundle, other_bundle, tmp_path):
    elsewhere = Settings.model_validate({"node": {"data": str(tmp_path / "elsewhere")}})
    assert bundle_in_use(elsewhere) == tiny_bundle.folder
    assert not (tmp_path / "elsewhere").exists()
    assert bundle_in_use(with_bundle(node, "/a/b").settings).as_posix() == "/a/b"
    settle_active(node)
    take_in(node, other_bundle.folder, IMPORT)
    promote(node, other_bundle.digest, NODE, "because")
    assert bundle_in_use(node.settings) == node.models.path(other_bundle.digest)
