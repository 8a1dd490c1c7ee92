"""A pool whose machines have addresses of their own and a network between them, of which one cable is pulled."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.conftest import find_component
from tests.hosts import OWN_ADDRESS, hosts
from tests.peers import wait_until
from tests.pool.seen import PATIENCE_S, answered, give_model, in_hand, journal, wait_for_workers
from tests.private_network import private_network
from tests.ray_cluster import RayCluster
from tests.running import RunningNode, running

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow, pytest.mark.interop]
SHORT = {"settle_s": 0.3, "quiet_s": 2.0, "max_wait_s": 8.0}
HEAD, OTHER = "head", "other"


@pytest.fixture(scope="module")
def machines():
    find_component("ip", "iproute2")
    with private_network() as is_private:
        if not is_private:
            pytest.skip("this user may not make a network of its own")
        with hosts(HEAD, OTHER) as made:
            yield made


@pytest.fixture(scope="module")
def cluster(machines):
    folder = tempfile.mkdtemp(prefix="pool-", dir="/tmp")  # the names of sockets may not be long
    made = RayCluster(Path(folder), machines)
    made.start(cpus=1)
    made.add(OTHER, cpus=1)
    yield made
    made.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def node(cluster, tmp_path_factory, tiny_bundle):
    pool = cluster.section(cpu_workers=2, least_workers=2, own_address=OWN_ADDRESS)
    made = RunningNode(tmp_path_factory.mktemp("node"), engine={"kind": "ray"}, pool=pool, completeness=SHORT)
    give_model(made, tiny_bundle.folder)
    with running(made):
        yield made


def test_series_are_read_across_the_network_and_a_cable_pulled_in_the_middle_costs_an_attempt(
    node, cluster, machines, new_study
):
    workers = wait_for_workers(node, cluster, HEAD, OTHER)
    for worker in workers:
        worker.suspend()
    studies = in_hand(node, new_study, 2)
    machines[OTHER].pull()
    workers[0].resume()
    answers = [answered(node, study) for study in studies]
    assert sorted(attempts for _, attempts in answers) == [1, 2]
    wait_until(lambda: sum(len(journal(node, one, "job.again")) for one in studies) == 1, PATIENCE_S, "one was lost")
    read_by = {journal(node, study, "result.made")[0]["read_by"] for study in studies}
    assert len(read_by) == 1, "the machine that is left"
    assert node.stop() == 0
