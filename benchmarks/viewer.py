"""The viewer on loopback in headless Chromium, painting in software: how soon slices are there, how even frames are.

Every frame takes one notch of the wheel, which is faster than any hand: 60 slices a second, up and down the whole
series. A frame that takes longer than two refreshes of the screen (33 ms) is seen as a stutter.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ichnode_training.phantom import make_head
from ichnode_training.phantom_dicom import write_dicom
from playwright.sync_api import CDPSession, Page, sync_playwright

from ichnode.config import Settings
from ichnode.steps.assemble import assemble_due
from ichnode.steps.node import Node, open_node
from ichnode.steps.recover import look_through_spool
from ichnode.web.passwords import hash_password
from ichnode.web.server import WebServer
from ichnode.worklist import accounts
from tests.chromium import FLAGS
from tests.conftest import find_component
from tests.made import Clock
from tests.steps.spooled import put
from tests.web.study.reader import Reader

from .record import Record, median

SERIES = {34: 5.0, 300: 0.6}
"""Slices, and millimetres between them."""
FRAMES = 600
NAME, PASSWORD = "reader", "correct horse battery"
_COMMAND = "python -m benchmarks viewer"
_SCROLL = """(frames) => new Promise((done) => {
  const stage = document.querySelector("[data-viewer=stage]"), times = [];
  const count = Number(document.querySelector("[data-viewer=slider]").max);
  let direction = 1, last = performance.now();
  const step = (now) => {
    times.push(now - last);
    last = now;
    if (times.length > frames) { done(times.slice(1)); return; }
    const at = Number(document.querySelector("[data-viewer=slider]").value);
    if (at >= count) direction = -1;
    if (at <= 0) direction = 1;
    stage.dispatchEvent(new WheelEvent("wheel", { deltaY: 120 * direction, cancelable: true, bubbles: true }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure a series of 34 slices and one of 300, each of 512 x 512."""
    node = _node(folder / "viewer")
    server = WebServer(node)
    server.start()
    figures: dict[str, list[float]] = {}
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_component("chromium", "chromium"), args=list(FLAGS)
            )
            for turn in range(1, rounds + 1):
                for study, slices in enumerate(SERIES, 1):
                    page = browser.new_page(viewport={"width": 1600, "height": 1000})  # with a cache of its own
                    for name, value in _look(page, server.address, study).items():
                        figures.setdefault(f"viewer.{slices}.{name}", []).append(value)
                    page.close()
                say(f"round {turn}: " + ", ".join(f"{name} {values[-1]:.0f} ms" for name, values in figures.items()))
            browser.close()
    finally:
        server.stop()
        node.worklist.dispose()
    return [median(name, values, "ms", _COMMAND, note=_NOTE) for name, values in figures.items()]


_NOTE = "512 x 512, Chromium headless, software painting, window of 1600 x 1000, one slice a frame"


def _look(page: Page, address: str, study: int) -> dict[str, float]:
    somebody = Reader(page, address)
    somebody.sign_in(NAME)
    began = time.perf_counter()
    somebody.open(f"/studies/{study}")
    shown = time.perf_counter()
    arriving = page.evaluate(_SCROLL, 120)
    page.wait_for_function("() => document.getElementById('viewer').dataset.whole === 'yes'", timeout=120_000)
    whole = time.perf_counter()
    inside = page.context.new_cdp_session(page)
    inside.send("Performance.enable", {"timeDomain": "threadTicks"})  # of the processor, whatever else runs
    before = _busy_s(inside)
    scrolled = page.evaluate(_SCROLL, FRAMES)
    return {
        "processor-a-frame": 1000 * (_busy_s(inside) - before) / FRAMES,
        "first-slice": 1000 * (shown - began), "all-slices": 1000 * (whole - began),
        **_frames("frame", scrolled), **_frames("frame-while-arriving", arriving),
    }  # fmt: skip


def _busy_s(inside: CDPSession) -> float:
    """Return the processor time of the page's main thread until now: scripts, layout, painting."""
    metrics = inside.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def _frames(name: str, times: list[float]) -> dict[str, float]:
    ranked = sorted(times)
    return {
        f"{name}-median": statistics.median(ranked), f"{name}-99-percent": ranked[int(len(ranked) * 0.99)],
        f"{name}-longest": ranked[-1],
    }  # fmt: skip


def _node(folder: Path) -> Node:
    sections: dict[str, Any] = {
        "node": {"data": str(folder / "data")}, "receive": {"low_disk_bytes": 0}, "web": {"port": 0},
    }  # fmt: skip
    clock = Clock(datetime.now(UTC))
    node = replace(open_node(Settings.model_validate(sections), "bench"), now=clock)
    for slices, spacing_mm in SERIES.items():
        head = make_head(22, ("intraparenchymal",), slices=slices, thickness_mm=spacing_mm)
        for file in write_dicom(head, folder / f"{slices}", uid_seed=f"{slices}"):
            put(node, file)
        look_through_spool(node)
    clock.forward(60)
    assemble_due(node, clock())
    with node.worklist.write() as tx:
        accounts.add(tx, node.now(), NAME, "reader", hash_password(PASSWORD))
    return node
