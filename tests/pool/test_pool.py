"""The real node, with a pool of real Ray nodes: whatever of it is killed, each series gets its one answer.

One cluster and one node for all of these, in their order; each says what of the cluster it needs. A worker is stopped
before its series comes, so that whatever happens to it happens in the middle.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from ichnode.config import Settings
from ichnode.core.eligibility import SelectionPolicy
from ichnode.core.workforce import room
from ichnode.engine_section import EngineSection
from ichnode.inference.computing import Computing
from ichnode.inference.engine import Engine
from ichnode.steps import examine_pool as module
from ichnode.steps.examine_pool import examine_pool
from ichnode.steps.explain import explain
from ichnode.steps.interpret import interpret
from ichnode.steps.node import open_node
from ichnode.steps.promote import promote
from ichnode.steps.register import IMPORT, take_in
from ichnode.worklist.audit import NODE
from tests.bundles import write_tiny_bundle
from tests.peers import wait_until
from tests.pool.seen import (
    PATIENCE_S,
    answered,
    claims,
    give_model,
    in_hand,
    journal,
    state_of_the_pool,
    wait_for_workers,
)
from tests.private_network import private_network
from tests.ray_cluster import RayCluster, has_ended
from tests.running import RunningNode, running

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
SHORT = {"settle_s": 0.3, "quiet_s": 2.0, "max_wait_s": 8.0}
HEAD, OTHER = "head", "other"


@pytest.fixture(scope="module")
def network():
    """Ray listens on all addresses that there are, and takes another one for loopback: here there is only loopback."""
    with private_network() as is_private:
        if not is_private:
            pytest.skip("this user may not make a network of its own")
        yield


@pytest.fixture(scope="module")
def cluster(network):
    folder = tempfile.mkdtemp(prefix="pool-", dir="/tmp")  # the names of sockets may not be long
    made = RayCluster(Path(folder))
    yield made
    made.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def node(cluster, tmp_path_factory, tiny_bundle):
    """A node whose cluster is not there yet."""
    made = RunningNode(
        tmp_path_factory.mktemp("node"), engine={"kind": "ray"}, pool=cluster.section(cpu_workers=2, least_workers=2),
        completeness=SHORT,
    )  # fmt: skip
    give_model(made, tiny_bundle.folder)
    with running(made):
        yield made


def with_children(pid):
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def most_in_hand(node, studies):
    """Return how many of these were claimed and not answered at one time."""
    rows = sorted((row for study in studies for row in node.study(study)["journal"]), key=lambda row: row["id"])
    steps = [
        -1 if row["event"] == "result.made" else 1
        for row in rows
        if row["event"] == "result.made" or (row["event"] == "job.claimed" and row["detail"]["kind"] == "analyse")
    ]
    return max(np.cumsum(steps))


def test_a_cluster_is_waited_for_and_then_says_what_the_engine_here_says(
    node, cluster, new_study, head_ct, tiny_bundle
):
    studies = [new_study() for _ in range(5)]
    wait_until(lambda: state_of_the_pool(node)["queued"] == len(studies), PATIENCE_S, "the series wait")
    wait_until(lambda: state_of_the_pool(node)["worker"] == "unreachable", PATIENCE_S, "the node says so")
    assert [claims(node, study) for study in studies] == [[]] * len(studies), "no attempt is spent on that"
    cluster.start(cpus=1)
    cluster.add(OTHER, cpus=1)
    answers = [answered(node, study) for study in studies]
    assert [attempts for _, attempts in answers] == [1] * len(studies)
    assert most_in_hand(node, studies) <= room(2), "what no worker is there for stays in the worklist"
    (made,) = journal(node, studies[0], "result.made")
    assert made["read_by"].startswith("cpu, "), "the journal says who has read it"
    assert made["read_by"].endswith(f" of {platform.node()}")
    (series,) = explain(head_ct, SelectionPolicy()).series
    engine = Engine.load(tiny_bundle.folder, "cpu", 1, Computing("torch", EngineSection().precision))
    here = interpret(engine, series.look, series.files).outcome
    for result, _ in answers:
        assert (result["verdict"], result["model_digest"]) == (str(here.verdict), tiny_bundle.digest)
        np.testing.assert_allclose(result["outcome"]["scores"], here.scores, atol=2e-5)


def test_a_machine_lost_costs_an_attempt_and_a_model_that_is_not_active_any_more_does_not_answer(
    node, cluster, new_study, tmp_path
):
    for worker in wait_for_workers(node, cluster, HEAD, OTHER):
        worker.suspend()
    studies = in_hand(node, new_study, 2)
    cluster.kill(OTHER)
    wait_until(lambda: any(journal(node, one, "job.again") for one in studies), PATIENCE_S, "the machine is missed")
    (lost,) = [one for one in studies if journal(node, one, "job.again")]
    (kept,) = [one for one in studies if one != lost]
    newer = write_tiny_bundle(tmp_path / "newer", seed=9)
    beside = open_node(Settings.model_validate({"node": {"data": str(node.data)}}))
    take_in(beside, newer.folder, IMPORT, tried=True)
    promote(beside, newer.digest, NODE, "a test of the change")
    beside.worklist.dispose()
    wait_until(lambda: journal(node, kept, "job.given_back"), PATIENCE_S, "it is taken from the old model")
    for study, cost in ((lost, 2), (kept, 1)):
        result, attempts = answered(node, study)
        assert attempts == cost, "another model is no fault of the series"
        assert result["model_digest"] == newer.digest
    assert journal(node, kept, "job.given_back") == [{"because": "MODEL_CHANGED"}]


def test_a_worker_killed_in_the_middle_costs_an_attempt_and_no_result(node, cluster, new_study):
    (worker,) = wait_for_workers(node, cluster, HEAD)
    worker.suspend()
    (study,) = in_hand(node, new_study, 1)
    worker.kill()
    _, attempts = answered(node, study)
    assert attempts == 2
    assert len(journal(node, study, "job.again")) == 1


def test_whoever_has_not_the_token_is_told_so(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ASKED_S", 300)
    wrong = tmp_path / "wrong"
    wrong.write_text("0" * 64)
    settings = [
        Settings.model_validate({"engine": {"kind": "ray"}, "pool": cluster.section(**of_token)})
        for of_token in ({}, {"token_file": str(wrong)})
    ]
    right, other = map(examine_pool, settings)
    assert right.remedy == ""
    assert "token" in other.remedy


def test_node_and_cluster_listen_on_loopback_only(node, cluster):
    ours = [one for pid in (node.pid, *cluster.pids()) for one in with_children(pid)]
    addresses = set()
    for process in ours:
        with suppress(psutil.NoSuchProcess):  # it has ended since it was listed
            addresses |= {one.laddr.ip for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    assert addresses and addresses <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_a_cluster_that_goes_costs_time_only_and_the_node_waits_for_it_anew(node, cluster, new_study):
    (worker,) = wait_for_workers(node, cluster, HEAD)
    worker.suspend()
    (study,) = in_hand(node, new_study, 1)
    joined = psutil.Process(node.pid).children(recursive=True)
    cluster.end()
    wait_until(lambda: journal(node, study, "job.given_back"), PATIENCE_S, "the series goes back to the queue")
    wait_until(lambda: all(has_ended(one) for one in joined), PATIENCE_S, "who had joined ends, and his part of Ray")
    wait_until(lambda: psutil.Process(node.pid).children(), PATIENCE_S, "another process waits")
    wait_until(lambda: state_of_the_pool(node)["worker"] in {"unreachable", "ended"}, PATIENCE_S, "the node says so")
    assert (state_of_the_pool(node)["queued"], len(claims(node, study))) == (1, 1), "nobody claims it meanwhile"
    assert journal(node, study, "job.given_back") == [{"because": "POOL_AWAY"}]
    assert node.stop() == 0
