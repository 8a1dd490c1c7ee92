"""For monitoring: `/metrics` for those who may, `/healthz` and `/readyz` for whoever reaches the port."""

from __future__ import annotations

import ipaddress

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ichnode.errors import IchnodeError
from ichnode.steps.node import Node
from ichnode.web.measurements import Measurements
from ichnode.web.visitor import node_of, require
from ichnode.worklist import vitals
from ichnode.worklist.tally import Tally


async def metrics(request: Request) -> Response:
    """Give the metrics of the node, for Prometheus."""
    return await run_in_threadpool(_metrics, request)


def _metrics(request: Request) -> Response:
    if not _comes_from_allowed(request):
        require(request, "node.read")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Measurements(node_of(request), request.app.state.tally))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def healthz(request: Request) -> Response:
    """Say that the process is alive; nothing more."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """Say whether slices are received and analysed now: 200, or 503 with what is amiss, a line each."""
    amiss = await run_in_threadpool(_amiss, request)
    return PlainTextResponse("".join(f"{line}\n" for line in amiss) or "ok\n", 503 if amiss else 200)


def begin_tally(node: Node) -> Tally:
    """Begin to count from now."""
    with node.worklist.read() as tx:
        return Tally(tx)


def _comes_from_allowed(request: Request) -> bool:
    """Tell whether the address itself is one of ``web.metrics_networks``; what comes through a proxy never is."""
    allowed = node_of(request).settings.web.metrics_networks
    through = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "Via"))
    if not allowed or through or request.client is None:
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network, strict=False) for network in allowed)


def _amiss(request: Request) -> list[str]:
    node = node_of(request)
    found = []
    if request.app.state.draining.is_set():
        found.append("The node is stopping.")
    if node.spool.below(node.settings.receive.low_disk_bytes):
        found.append("The disk is below receive.low_disk_bytes: slices are refused. Free space.")
    try:
        with node.worklist.write() as tx:
            boot = vitals.boot(tx, node.boot_id)
    except IchnodeError as error:
        return [*found, error.sentence]
    state = (boot["worker_state"] if boot else None) or "not started"
    if state != "ready":
        found.append(f"The worker is not ready ({state}): slices are received and wait. The log says why.")
    return found


ROUTES = [
    Route("/metrics", metrics, methods=["GET"]),
    Route("/healthz", healthz, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
]
