"""What is seen of a pool and of its studies: in the journal, in the rows, in the processes."""

from __future__ import annotations

from ichnode.config import Settings
from ichnode.steps.node import open_node
from ichnode.steps.register import settle_active
from ichnode.worklist import vitals
from tests.peers import wait_until
from tests.running import current_results

PATIENCE_S = 120


def give_model(node, bundle):
    """Make a bundle the active model of a node that has not been started yet."""
    before = open_node(Settings.model_validate({"node": {"data": str(node.data)}, "engine": {"bundle": str(bundle)}}))
    settle_active(before)
    before.worklist.dispose()


def journal(node, study, event):
    found = node.study(study)
    return [row["detail"] for row in found["journal"] if row["event"] == event] if found else []


def claims(node, study):
    return [row for row in journal(node, study, "job.claimed") if row["kind"] == "analyse"]


def answered(node, study):
    """Wait for the one answer of a study, and return it with the attempts that its journal counts."""
    wait_until(lambda: journal(node, study, "result.made"), PATIENCE_S, "the study is answered")
    (series,) = node.study(study)["series"]
    (result,) = current_results(series)
    assert len(series["results"]) == 1 and len(journal(node, study, "result.made")) == 1, "once, and no second time"
    return result, max(row["attempt"] for row in claims(node, study))


def state_of_the_pool(node):
    with node.worklist.read() as tx:
        queue = vitals.queue(tx)
        (boot,) = [vitals.boot(tx, row.id) for row in tx.exec_driver_sql("SELECT id FROM boots").all()]
    return {"worker": boot["worker_state"], "device": boot["worker_device"], **queue}


def wait_for_workers(node, cluster, *names):
    """Wait until a worker is ready on each of these machines, and return their processes."""
    device = f"pool: {len(names)} x cpu"
    wait_until(lambda: all(len(cluster.workers(name)) == 1 for name in names), PATIENCE_S, "the workers")
    wait_until(lambda: state_of_the_pool(node)["device"] == device, PATIENCE_S, "they are ready")
    return [cluster.workers(name)[0] for name in names]


def in_hand(node, send, number):
    """Send studies, and wait until each is with a worker."""
    before = node.log.count("pool.series_given")
    studies = [send() for _ in range(number)]
    wait_until(lambda: node.log.count("pool.series_given") >= before + number, PATIENCE_S, "the series are in hand")
    return studies
