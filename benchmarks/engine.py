"""The local worker's engine beside one worker of a Ray pool on the same machine: seconds a series, and series a minute.

Both have the same bundle and the same cores and are asked through `interpret`: decode, read, explain. The local one
takes a series after the other, as the worker process does; the pool gets as many at a time as the node gives it, so
that a series is decoded while another one is read. The pool's machine is this one: what a network between them costs is
not in the figures.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ichnode_training.phantom import make_head
from ichnode_training.phantom_dicom import write_dicom

from ichnode.core.eligibility import SelectionPolicy
from ichnode.core.workforce import room
from ichnode.engine_section import EngineSection
from ichnode.inference.bundle import default_bundle_path, load_bundle
from ichnode.inference.cluster import Cluster
from ichnode.inference.computing import Computing
from ichnode.inference.engine import Engine
from ichnode.pool_section import PoolSection
from ichnode.steps.explain import ExplainedSeries, explain
from ichnode.steps.interpret import interpret
from tests.peers import wait_until
from tests.private_network import private_network
from tests.ray_cluster import RayCluster

from .record import Record, median

if TYPE_CHECKING:
    from ichnode.inference.pool import Pool, PoolEngine

SLICES = 34
AT_ONCE = 4
_BLEEDS_ML = {"intraparenchymal": 30.0}
_COMMAND = "python -m benchmarks engine"


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure both in turns, so that what else the machine does meets both."""
    with private_network() as is_private:
        if not is_private:
            say("engine is left out: this user may not make a network, and Ray would listen on that of this machine")
            return []
        return _beside_each_other(folder, rounds, say)


def _beside_each_other(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    series = folder / "engine"
    write_dicom(make_head(22, tuple(_BLEEDS_ML), slices=SLICES, volumes_ml=_BLEEDS_ML), series)
    (explained,) = explain(series, SelectionPolicy()).series
    cores = os.cpu_count() or 1
    computing = Computing(EngineSection().runtime, EngineSection().precision)
    local = Engine.load(default_bundle_path(), "cpu", cores, computing)
    local.warm()
    with tempfile.TemporaryDirectory(prefix="pool-", dir="/tmp", ignore_cleanup_errors=True) as short:
        cluster = RayCluster(Path(short))
        try:
            cluster.start(cpus=cores)
            section = PoolSection.model_validate(
                {**cluster.section(), "cpus_per_worker": cores, "store_bytes": 1 << 28}
            )
            with Cluster(section):
                from ichnode.inference.pool import (
                    Pool,
                )  # and Ray with it, which has to find the token that is set by now

                pool = Pool(section, EngineSection(), load_bundle(default_bundle_path()))
                wait_until(lambda: pool.look(1) or pool.ready(), 120, "a worker is ready")
                return _measured(local, pool, explained, rounds, say)
        finally:
            cluster.end()


def _measured(
    local: Engine, pool: Pool, series: ExplainedSeries, rounds: int, say: Callable[[str], None]
) -> list[Record]:
    from ichnode.inference.pool import PoolEngine

    def by_pool() -> PoolEngine:
        return PoolEngine(pool, 600)

    took: dict[str, list[float]] = {"local": [], "ray": []}
    rate: dict[str, list[float]] = {"local": [], "ray": []}
    for turn in range(rounds + 1):  # the first is thrown away
        alone = {"local": _seconds(lambda: _read(local, series)), "ray": _seconds(lambda: _read(by_pool(), series))}
        with ThreadPoolExecutor(room(1)) as threads:
            many = {
                "local": _seconds(lambda: [_read(local, series) for _ in range(AT_ONCE)]),
                "ray": _seconds(lambda: list(threads.map(lambda _: _read(by_pool(), series), range(AT_ONCE)))),
            }
        if turn:
            for name, seconds in alone.items():
                took[name].append(seconds)
                rate[name].append(60 * AT_ONCE / many[name])
            say(f"round {turn}: local {alone['local']:.2f} s, Ray {alone['ray']:.2f} s")
    note = (
        f"{SLICES} slices of 512 x 512, shipped model, positive, decode and heat maps included, {os.cpu_count()} cores"
    )
    ratios = {
        "took": round(statistics.median(took["ray"]) / statistics.median(took["local"]), 3),
        "rate": round(statistics.median(rate["ray"]) / statistics.median(rate["local"]), 3),
    }
    return [
        median("engine.local.latency", took["local"], "s", _COMMAND, note=note),
        median("engine.ray.latency", took["ray"], "s", _COMMAND, ratio=ratios["took"], against="local", note=note),
        median("engine.local.throughput", rate["local"], "series/min", _COMMAND, note=note),
        median("engine.ray.throughput", rate["ray"], "series/min", _COMMAND, ratio=ratios["rate"], against="local",
               note=note),
    ]  # fmt: skip


def _read(engine: Engine | PoolEngine, series: ExplainedSeries) -> None:
    interpret(engine, series.look, series.files)


def _seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun
