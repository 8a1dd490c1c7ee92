"""What the viewer fetches: the facts of a series, its planes, its heat maps; and reports as files."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ichnode.core import heat
from ichnode.steps.node import Node
from ichnode.steps.stack import Stack, part_of, stack_of
from ichnode.web.doors import Door, door
from ichnode.web.refusals import Refused
from ichnode.web.study_facts import current_result, stack_facts
from ichnode.web.visitor import Visitor, node_of, note_view
from ichnode.worklist import views

KEPT = "private, max-age={}, immutable"
"""In the browser of whoever may see it, for no longer than a session, and nowhere on the way. The address names the
content."""


def series_of(request: Request) -> tuple[Node, dict[str, Any], dict[str, Any]]:
    """Return the node, the study and the series that an address names.

    Raises
    ------
    Refused
        404 when there is none.
    """
    node = node_of(request)
    study = study_of(node, request.path_params["study"])
    found = [s for s in study["series"] if s["id"] == request.path_params["series"]]
    if not found:
        raise Refused(404, "NO_SERIES", "There is no such series.")
    return node, study, found[0]


def study_of(node: Node, study_id: int) -> dict[str, Any]:
    """Return all that is known of a study.

    Raises
    ------
    Refused
        404 when there is none.
    """
    with node.worklist.read() as tx:
        study = views.find_by_id(tx, study_id)
    if study is None:
        raise Refused(404, "NO_STUDY", "There is no such study.")
    return study


def series_stack(request: Request, visitor: Visitor) -> Response:
    """Say what slices a series has and what the model says of each."""
    node, study, series = series_of(request)
    if series["purged_at"]:
        raise _removed(series["purged_at"])
    stack = _STACKS.made(node, series["id"])
    result = current_result(series)
    address = request.url.path.removesuffix("/stack")
    facts = stack_facts(stack, result, address)
    maps = _heat_on(node, result, stack)
    facts["heat"] = (
        {
            "address": f"{address}/heat/{result['id']}/{stack.digest}",
            "maps": [{"index": index, "name": name} for index, name, _ in maps],
        }
        if result and maps
        else None
    )
    _note(request, visitor, study["id"], series["id"], stack.digest)
    return JSONResponse(facts)


def planes(request: Request, visitor: Visitor) -> Response:
    """Give some slices in Hounsfield units: of each 4 bytes of length (0: unreadable), then `ichnode.core.planes`."""
    node, stack = node_of(request), _named(request)
    part = request.path_params["part"]
    if part >= stack.parts:
        raise Refused(404, "NO_SLICES", "There are no such slices.")
    _note_once(request, visitor, stack)
    content, is_whole = part_of(node, stack, part)
    return _packed(content, _kept(node) if is_whole else "no-store")


def heat_maps(request: Request, visitor: Visitor) -> Response:
    """Give the heat maps of a result, one byte a pixel, one map after the other, turned as the slices are."""
    node, _, series = series_of(request)
    result = next((r for r in series["results"] if r["id"] == request.path_params["result"]), None)
    stack = _named(request)
    maps = _heat_on(node, result, stack)
    if not maps:
        raise Refused(404, "NO_HEAT", "There are no heat maps of this answer.")
    _note_once(request, visitor, stack)
    turned = [stack.slices[index].view.turn(plane).tobytes() for index, _, plane in maps]
    return _packed(b"".join(turned), _kept(node))


def report_file(request: Request, visitor: Visitor) -> Response:
    """Give a report as the DICOM file that it is."""
    node = node_of(request)
    study = study_of(node, request.path_params["study"])
    reports = [p for s in study["series"] for r in s["results"] for p in r["reports"]]
    report = next((p for p in reports if p["id"] == request.path_params["report"]), None)
    if report is None:
        raise Refused(404, "NO_REPORT", "There is no such report.")
    try:
        content = node.spool.path(report["file"]).read_bytes()
    except FileNotFoundError:
        raise _removed(max((s["purged_at"] for s in study["series"] if s["purged_at"]), default=None)) from None
    note_view(request, visitor, "report.downloaded", study["id"], report=report["id"])
    name = f"ichnode-{report['kind']}-{report['id']}.dcm"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/dicom", headers=headers)


def _removed(at: str | None) -> Refused:
    day = f" on {at[:10]}" if at else ""
    return Refused(410, "IMAGES_REMOVED", f"The images and files of this series were removed{day}; the PACS has them.")


class _Stacks:
    """The stacks that were made last: a viewer asks for many parts of the same one."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._kept: OrderedDict[tuple[object, int, str], Stack] = OrderedDict()

    def made(self, node: Node, series_id: int) -> Stack:
        """Make the stack of a series as it is now."""
        stack = stack_of(node, series_id)
        with self._lock:
            self._kept[node.spool.root, series_id, stack.digest] = stack
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return stack

    def found(self, node: Node, series_id: int, digest: str) -> Stack:
        """Return the stack of this digest, from memory or made anew; another one when the series has changed."""
        with self._lock:
            stack = self._kept.get((node.spool.root, series_id, digest))
        return stack or self.made(node, series_id)


_STACKS = _Stacks(most=16)


def _named(request: Request) -> Stack:
    digest, series_id = str(request.path_params["digest"]), int(request.path_params["series"])
    stack = _STACKS.found(node_of(request), series_id, digest) if series_id < 2**31 else None
    if stack is None or stack.digest != digest:
        raise Refused(409, "SERIES_CHANGED", "The series has changed: load the page again.")
    return stack


def _note_once(request: Request, visitor: Visitor, stack: Stack) -> None:
    """Write down that somebody gets pixels of a series, once an hour: a viewer asks for many parts."""
    study_id, now = int(request.path_params["study"]), node_of(request).now()
    if not request.app.state.seen.last(visitor, (study_id, stack.series_id, stack.digest), now):
        _, study, series = series_of(request)
        _note(request, visitor, study["id"], series["id"], stack.digest)


def _note(request: Request, visitor: Visitor, study_id: int, series_id: int, digest: str) -> None:
    note_view(request, visitor, "series.viewed", study_id, series=series_id)
    place = study_id, series_id, digest
    request.app.state.seen.note(visitor, place, node_of(request).now(), frozenset({digest}))


def _heat_on(node: Node, result: dict[str, Any] | None, stack: Stack) -> list[tuple[int, str, NDArray[np.uint8]]]:
    """Return (place in the stack, class, map) of each heat map of a result whose slice is here."""
    if result is None or not result["heat_file"]:
        return []
    try:
        maps = heat.unpack(node.spool.path(result["heat_file"]).read_bytes())
    except (OSError, ValueError):
        return []
    places = {one.key: index for index, one in enumerate(stack.slices)}
    order = [(instance, frame) for instance, frame in result["outcome"]["order"]]
    return [
        (places[order[index]], name, plane)
        for index, name, plane in zip(maps.indices, maps.classes, maps.maps, strict=True)
        if order[index] in places
    ]


def _kept(node: Node) -> str:
    return KEPT.format(int(node.settings.web.session_s))


def _packed(content: bytes, kept: str) -> Response:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)  # 31: in gzip's wrapping
    packed = packer.compress(content) + packer.flush()
    headers = {"Content-Encoding": "gzip", "Cache-Control": kept, "Vary": "Cookie"}
    return Response(packed, media_type="application/octet-stream", headers=headers)


def _routes(root: str, name: str) -> list[Door]:
    series = f"{root}/studies/{{study:int}}/series/{{series:int}}"
    unasked = partial(door, heavy=True, by_itself=True)  # a viewer tries again and again; that keeps no session open
    return [
        door(f"{series}/stack", "study.read", series_stack, heavy=True, name=f"{name}stack"),
        unasked(f"{series}/planes/{{digest}}/{{part:int}}", "study.read", planes, name=f"{name}planes"),
        unasked(f"{series}/heat/{{result:int}}/{{digest}}", "study.read", heat_maps, name=f"{name}heat"),
        door(f"{root}/studies/{{study:int}}/reports/{{report:int}}", "study.read", report_file, name=f"{name}report"),
    ]


ROUTES = [*_routes("", ""), *_routes("/api/v1", "api_")]
