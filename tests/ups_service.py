"""A worklist service over HTTP (UPS-RS) that enforces the rules of PS3.18 11 and PS3.4 CC.2; real, on loopback.

Written here because no other was at hand: Orthanc has none, dcm4chee's does not run here.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.peers import free_port, wait_until

STATE, TRANSACTION, UID = "00741000", "00081195", "00080018"
PROGRESS, PERFORMED = "00741002", "00741216"
KEYWORDS = {
    "ProcedureStepState": STATE, "InputReadinessState": "00404041", "ScheduledWorkitemCodeSequence": "00404018",
    "ScheduledStationNameCodeSequence": "00404025", "CodeValue": "00080100", "CodingSchemeDesignator": "00080102",
}  # fmt: skip
JSON = "application/dicom+json"
Item = dict[str, Any]


def element(vr: str, *values: Any) -> Item:
    """One element in DICOM JSON."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def code(text: str) -> Item:
    """A code sequence of one item, from ``VALUE^SCHEME``."""
    value, _, scheme = text.partition("^")
    return element("SQ", {"00080100": element("SH", value), "00080102": element("SH", scheme),
                          "00080104": element("LO", f"{value} in words")})  # fmt: skip


def series_input(study: str, series: str, instances: int, aet: str = "") -> Item:
    """One item of the Input Information Sequence."""
    refs = [{"00081150": element("UI", "1.2.840.10008.5.1.4.1.1.2"), "00081155": element("UI", f"{series}.{n}")}
            for n in range(1, instances + 1)]  # fmt: skip
    item = {"0040E020": element("CS", "DICOM"), "0020000D": element("UI", study), "0020000E": element("UI", series),
            "00081199": element("SQ", *refs)}  # fmt: skip
    if aet:
        item["0040E021"] = element("SQ", {"00080054": element("AE", aet)})
    return item


@dataclass
class UpsService:
    """Its work items and what was asked of it."""

    port: int = field(default_factory=free_port)
    items: dict[str, Item] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)
    """Work item → Transaction UID under which it was claimed."""
    gone: set[str] = field(default_factory=set)
    claims: list[str] = field(default_factory=list)
    """Work items whose claim was granted, in order."""
    told: list[str] = field(default_factory=list)
    """Progress descriptions."""
    bad: Callable[[str, str], int] = lambda method, path: 0
    """Status that it answers with after it has done what was asked; 0: the right one."""
    heeds_keys: bool = True
    token: str = ""
    paths: tuple[str, ...] = ("/workitems/{uid}/state",)

    def clear(self) -> None:
        """Be as at first."""
        for mine in (self.items, self.locks, self.gone, self.claims, self.told):
            mine.clear()
        self.bad, self.heeds_keys = lambda method, path: 0, True
        vars(self).pop("judge", None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ups"

    @property
    def section(self) -> dict[str, object]:
        """[workitems]"""
        return {"url": self.url, "codes": ["ICH^99TEST"], "look_every_s": 0.2, "first_retry_s": 0.2, "timeout_s": 120}

    def schedule(self, uid: str, *inputs: Item, what: str = "ICH^99TEST", **more: Item) -> str:
        """A work item that waits for a performer."""
        self.items[uid] = {
            UID: element("UI", uid), STATE: element("CS", "SCHEDULED"), "00404041": element("CS", "READY"),
            "00741200": element("CS", "MEDIUM"), "00404018": code(what), "00404021": element("SQ", *inputs), **more,
        }  # fmt: skip
        return uid

    def state(self, uid: str) -> str:
        """Its Procedure Step State."""
        return str(self.items[uid][STATE]["Value"][0])

    @contextlib.contextmanager
    def listening(self) -> Iterator[UpsService]:
        """Answer inside the block."""
        routes = [
            Route("/ups/workitems", self._search), Route("/ups/workitems/{uid}", self._one, methods=["GET", "POST"]),
            *(Route(f"/ups{path}", self._change, methods=["PUT"]) for path in self.paths),
        ]  # fmt: skip
        config = uvicorn.Config(Starlette(routes=routes), "127.0.0.1", self.port, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        wait_until(lambda: server.started, 60, "the service listens")
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(60)

    async def _search(self, request: Request) -> Response:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return Response(status_code=401)
        if forced := self.bad("GET", "/workitems"):
            return Response(status_code=forced)
        keys = dict(request.query_params)
        limit, offset = int(keys.pop("limit", 100)), int(keys.pop("offset", 0))
        found = [item for item in self.items.values() if not self.heeds_keys or _matches(item, keys)]
        page = found[offset : offset + limit]
        shown = [{tag: value for tag, value in item.items() if tag != "00404021"} for item in page]  # as it may
        status = 206 if len(found) > offset + limit else 200
        return Response(json.dumps(shown), status, media_type=JSON) if page else Response(status_code=204)

    async def _one(self, request: Request) -> Response:
        uid = request.path_params["uid"]
        body = await request.body()
        if uid not in self.items:
            return Response(status_code=410 if uid in self.gone else 404)
        if request.method == "GET":
            answer = Response(json.dumps([self.items[uid]]), 200, media_type=JSON)
        else:
            answer = self._update(uid, request, body)
        forced = self.bad(request.method, f"/workitems/{uid}")
        return Response(status_code=forced) if forced else answer

    def _update(self, uid: str, request: Request, body: bytes) -> Response:
        if request.headers["Content-Type"] != JSON:
            return Response(status_code=415)
        changes = json.loads(body)
        said = request.query_params.get("transaction-uid")
        assert changes.pop(TRANSACTION, element("UI", said))["Value"] == [said], "query and data set agree"
        if STATE in changes or UID in changes:
            return Response(status_code=400)
        if self.state(uid) != "IN PROGRESS" or said != self.locks[uid]:
            return Response(status_code=409)
        self.items[uid] |= changes
        if PROGRESS in changes:
            self.told.append(changes[PROGRESS]["Value"][0]["00741006"]["Value"][0])
        return Response(status_code=200)

    async def _change(self, request: Request) -> Response:
        uid = request.path_params["uid"]
        body = await request.body()
        if uid not in self.items:
            return Response(status_code=410 if uid in self.gone else 404)
        asked = json.loads(body)
        wanted, lock = asked[STATE]["Value"][0], asked[TRANSACTION]["Value"][0]
        status = self.judge(uid, self.state(uid), wanted, lock)
        if status == 200 and wanted != self.state(uid):
            self.items[uid][STATE] = element("CS", wanted)
            if wanted == "IN PROGRESS":
                self.locks[uid] = lock
                self.claims.append(uid)
        return Response(status_code=self.bad("PUT", wanted) or status)

    def judge(self, uid: str, state: str, wanted: str, lock: str) -> int:
        """Table CC.1.1-2 of PS3.4, and the final state requirements of CC.2.5.1.3; the status that answers."""
        if wanted == "IN PROGRESS":
            return 200 if state == "SCHEDULED" else 409
        if state == "SCHEDULED" or lock != self.locks.get(uid):
            return 409
        if state == wanted:  # with a warning, PS3.18 11.7.3.2
            return 200
        return 200 if state == "IN PROGRESS" and _is_final(self.items[uid], wanted) else 409


def _matches(item: Item, keys: dict[str, str]) -> bool:
    for name, value in keys.items():
        values: list[Any] = [item]
        for part in name.split("."):
            values = [v for one in values for v in one.get(KEYWORDS[part], {}).get("Value", [])]
        if value not in values:
            return False
    return True


def _is_final(item: Item, wanted: str) -> bool:
    if wanted == "CANCELED":
        (said,) = item[PROGRESS]["Value"]
        return bool(said["00404052"]["Value"])
    (done,) = item[PERFORMED]["Value"]
    needed = ("00404028", "00404019", "00404050", "00404051", "00404033")
    return all(done.get(tag, {}).get("Value") for tag in needed)
