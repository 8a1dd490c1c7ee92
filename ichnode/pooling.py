"""The worker process where the pool analyses: it claims, decodes, asks a machine of the pool, and files the answer.

Nothing is claimed that no worker is there for: what waits, waits in the worklist. A cluster that is away ends this
process, which is started again; what it had in hand goes back first, and the attempt does not count.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ichnode.config import Settings
from ichnode.core.workforce import room
from ichnode.errors import Interrupted
from ichnode.inference.bundle import load_bundle
from ichnode.inference.cluster import Cluster, ClusterAway, answers
from ichnode.log import get_logger
from ichnode.steps.illustrate import Readings
from ichnode.steps.node import Node, open_node
from ichnode.steps.register import active_digest, settle_active
from ichnode.steps.turn import Turns
from ichnode.worklist import jobs
from ichnode.worklist.boots import worker_is

if TYPE_CHECKING:
    from ichnode.inference.pool import Pool

AWAY = 3
IDLE_S = 0.5
ASKED_S = 2.0
LEASE_SHARE = 0.9
"""Of a lease, after which an answer is not waited for: before the lease is over and this process with it."""
_CHANGED = "Another model became active meanwhile; the series is read by that one."
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the node has asked for; a hint that there is work is not counted."""

    to_look: threading.Event
    to_stop: threading.Event


def work_with_pool(settings: Settings, owner: str, asked: Asked, say: Callable[[str], None]) -> None:
    """Keep the pool at work until asked to stop.

    A cluster that goes away ends the process.

    Raises
    ------
    TransientError
        The cluster cannot be joined.
    """
    node = open_node(settings, owner.partition("/")[0])
    settle_active(node)
    try:
        if _wait_for(node, asked):
            with Cluster(settings.pool) as cluster:
                say("ready")
                _Work(node, owner, asked, say).run(cluster)
    except ClusterAway as error:
        log.error("pool.away", code=error.code, remedy=f"{error.sentence} Series wait.")
        os._exit(AWAY)  # Ray would wait a minute for its head before it let this process go
    finally:
        node.decoders.close()


def _wait_for(node: Node, asked: Asked) -> bool:
    """Wait until the cluster answers; False when asked to stop before."""
    address = node.settings.pool.address
    said = False
    while not asked.to_stop.is_set():
        if answers(address):
            _tell(node, "loading")
            return True
        if not said:
            _tell(node, "unreachable")
            log.error("pool.unreachable", remedy=f"The cluster at {address} does not answer: series wait. Start it.")
            said = True
        asked.to_stop.wait(ASKED_S)
    return False


class _Work:
    """What is in hand, for as long as the cluster is there."""

    def __init__(self, node: Node, owner: str, asked: Asked, say: Callable[[str], None]) -> None:
        self._node, self._owner, self._asked, self._say = node, owner, asked, say
        lanes = node.settings.pool.gpu_workers + node.settings.pool.cpu_workers + 1
        self._threads, self._readings = ThreadPoolExecutor(lanes, "series"), Readings(2 * lanes)
        self._turns = Turns()
        self._in_hand: set[Future[None]] = set()
        self._told: tuple[str, str | None] = ("", None)

    def run(self, cluster: Cluster) -> None:
        pool: Pool | None = None
        try:
            while not self._asked.to_stop.is_set():
                cluster.watch()
                pool = self._with_active_model(pool)
                self._turn(pool)
                self._asked.to_look.wait(IDLE_S)
                self._asked.to_look.clear()
            self._threads.shutdown()  # what is in hand is finished; the node waits for so long and no longer
        except ClusterAway as error:
            if pool is not None:
                pool.close(Interrupted(error.sentence, error.code), away=True)
            self._tell_once("unreachable", None)
            raise
        finally:
            if pool is not None and pool.ended is None:
                pool.close(Interrupted("The node stops.", "STOPPING"))
            self._threads.shutdown()

    def _with_active_model(self, pool: Pool | None) -> Pool:
        from ichnode.inference.pool import Pool

        settings = self._node.settings
        digest = active_digest(self._node)
        if pool is not None and pool.bundle.digest == digest:
            return pool
        bundle = load_bundle(self._node.models.path(digest))
        if pool is not None:
            pool.close(Interrupted(_CHANGED, "MODEL_CHANGED"))
        log.info("pool.model", model=bundle.name, digest=digest[:12])
        return Pool(settings.pool, settings.engine, bundle)

    def _turn(self, pool: Pool) -> None:
        for ended in [one for one in self._in_hand if one.done()]:
            self._in_hand.remove(ended)
            ended.result()
        with self._node.worklist.read() as tx:
            waiting = jobs.waiting(tx, self._node.now(), "analyse")
            pictures = jobs.waiting(tx, self._node.now(), "illustrate")
        pool.look(waiting + len(self._in_hand))
        ready = pool.ready()
        kinds = Counter(about.device.partition(":")[0] for about in ready)
        said = ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items()))
        self._tell_once("ready" if ready else "no worker", f"pool: {said}" if said else None)
        for _ in range(min(waiting + pictures, room(len(ready)) - len(self._in_hand))):
            self._in_hand.add(self._threads.submit(self._one, pool))

    def _one(self, pool: Pool) -> None:
        from ichnode.inference.pool import PoolEngine

        node, owner, readings = self._node, self._owner, self._readings
        engine = PoolEngine(pool, LEASE_SHARE * node.settings.engine.lease_s, node.decoders.read)
        try:
            if self._turns.take(node, engine, owner, readings):
                self._say("done")
        finally:
            self._asked.to_look.set()

    def _tell_once(self, state: str, device: str | None) -> None:
        if self._told != (state, device):
            self._told = (state, device)
            _tell(self._node, state, device)


def _tell(node: Node, state: str, device: str | None = None) -> None:
    with node.worklist.write() as tx:
        worker_is(tx, node.now(), node.boot_id, state, device)
