"""`[pool]`: the cluster of machines that analyse, where `[engine] kind = "ray"`."""

from __future__ import annotations

from pydantic import Field

from ichnode.engine_section import EngineSection
from ichnode.sections import Seconds, Section


class PoolSection(Section):
    """The analysis pool on Ray, with engine.kind = "ray"; then `device` and `threads` of [engine] mean nothing."""

    address: str = Field(
        "", pattern=r"^([^\s/:]+:[0-9]{1,5})?$", description="Address of the cluster's head, host:port."
    )
    token_file: str = Field("", description="File with the cluster's token; the pool is never joined without one.")
    own_address: str = Field(
        "", description="Address of this machine under which the cluster reaches it; empty: the one that Ray finds."
    )
    store_bytes: int = Field(
        1 << 30, ge=80 << 20, description="Bytes of memory for volumes on their way to the pool; 34 slices are 18 MB."
    )
    gpu_workers: int = Field(0, ge=0, le=1000, description="Workers with a GPU each, at most.")
    cpu_workers: int = Field(1, ge=0, le=1000, description="Workers without a GPU, at most; for what no GPU takes.")
    cpus_per_worker: int = Field(2, ge=1, description="Cores of a worker without a GPU.")
    least_workers: int = Field(1, ge=0, description="Workers that are kept when nothing waits.")
    idle_s: Seconds = Field(300, description="Seconds without work after which a worker beyond those is given back.")


def check_pool(engine: EngineSection, pool: PoolSection) -> None:
    """Raise a ValueError where a pool that is to analyse lacks something."""
    if engine.kind != "ray":
        return
    if missing := [name for name in ("address", "token_file") if not getattr(pool, name)]:
        raise ValueError(f'pool.{missing[0]} is needed with engine.kind = "ray": give it')
    if pool.least_workers > pool.gpu_workers + pool.cpu_workers:
        raise ValueError("pool.least_workers is more than pool.gpu_workers and pool.cpu_workers together")
    if not pool.gpu_workers + pool.cpu_workers:
        raise ValueError("pool.gpu_workers and pool.cpu_workers are both 0: nothing would be analysed")
