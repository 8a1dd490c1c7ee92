"""The report: one HTML file with what held, what did not, and the day as pictures."""

from __future__ import annotations

import io
import statistics
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib.figure import Figure

from benchmarks.record import machine

from .run import Told

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1b1b1b;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse}
td,th{padding:.3rem .7rem;border-bottom:1px solid #e2e2e2;text-align:left;vertical-align:top}
.yes{color:#176b2c;font-weight:600}.no{color:#a3121d;font-weight:600}svg{max-width:100%;height:auto}
p.use{background:#fff3cd;border:1px solid #e0c36a;padding:.5rem .8rem}
"""
_WORDS = {True: ("yes", "held"), False: ("no", "DID NOT HOLD"), None: ("", "too short to say")}


def page(told: Told, command: str) -> str:
    """Return the page."""
    rows = "".join(
        f'<tr><td>{escape(p.name)}</td><td class="{_WORDS[p.held][0]}">{_WORDS[p.held][1]}</td>'
        f"<td>{escape(p.why)}</td></tr>"
        for p in told.proofs
    )
    about = {"when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "command": command, **machine()}
    facts = "".join(f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in about.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A day of a busy hospital</title>'
        f"<style>{_STYLE}</style></head><body><h1>A day of a busy hospital, in {told.day_s / 60:.1f} minutes</h1>"
        '<p class="use">Research use only. Synthetic heads, real programs: what held here need not hold elsewhere.</p>'
        f"<p>{_summary(told)}</p><h2>What has to hold</h2><table>{rows}</table>"
        f"<h2>The day</h2>{_svg(told)}<h2>From the last slice to the report</h2>{_times(told)}"
        f"<h2>Where and how</h2><table>{facts}</table></body></html>\n"
    )


def _summary(told: Told) -> str:
    slices = sum(len(one.acknowledged) for one in told.sent)
    wrong = defaultdict(int)
    for trouble, _, _ in told.done:
        wrong[trouble.what] += 1
    happened = ", ".join(f"{what} {many} times" if many > 1 else f"{what} once" for what, many in sorted(wrong.items()))
    return escape(f"{len(told.sent)} studies with {slices} slices from three scanners. What went wrong: {happened}.")


def _times(told: Told) -> str:
    by_way = defaultdict(list)
    for one, seconds in told.answers:
        by_way[one.exam.way].append(seconds)
    rows = "".join(
        f"<tr><td>{way}</td><td>{len(found)}</td><td>{statistics.median(found):.1f}</td><td>{max(found):.1f}</td></tr>"
        for way, found in sorted(by_way.items())
    )
    return f"<table><tr><th>studies</th><th>number</th><th>median, s</th><th>longest, s</th></tr>{rows}</table>"


def _svg(told: Told) -> str:
    figure = Figure(figsize=(10, 11), layout="constrained")
    flow, queue, memory, wait = figure.subplots(4, 1, sharex=True)
    hours = [_hour(told, look.at) for look in told.looks]
    flow.plot(hours, [look.results for look in told.looks], label="analyses done")
    flow.plot([24 * e.at for e in told.exams], range(1, len(told.exams) + 1), ls="--", label="studies planned")
    flow.set_ylabel("studies")
    queue.plot(hours, [look.waiting for look in told.looks], label="series arriving or waiting for an analysis")
    queue.plot(hours, [look.undelivered for look in told.looks], label="reports waiting for the archive")
    queue.set_ylabel("waiting")
    memory.plot(hours, _mib([look.node_mib for look in told.looks]), label="node")
    memory.plot(hours, _mib([look.worker_mib for look in told.looks]), label="worker")
    memory.set_ylabel("MiB")
    for way in sorted({one.exam.way for one, _ in told.answers}):
        some = [(24 * one.exam.at, seconds) for one, seconds in told.answers if one.exam.way == way]
        wait.plot(*zip(*some, strict=True), ".", label=way)
    wait.set(ylabel="last slice to report, s", xlabel="hour of the day", yscale="symlog")
    colours = {what: f"C{n + 4}" for n, what in enumerate(sorted({t.what for t, _, _ in told.done}))}
    for axes in (flow, queue, memory, wait):
        for trouble, began, ended in told.done:
            span = (_hour(told, began), max(_hour(told, ended), _hour(told, began) + 0.05))
            axes.axvspan(*span, alpha=0.35, color=colours[trouble.what], lw=0)
        axes.legend(fontsize=8, loc="upper left")
        axes.grid(alpha=0.3)
    for what, colour in colours.items():
        flow.fill_between([], [], color=colour, alpha=0.35, label=what)
    flow.legend(fontsize=8, loc="upper left", ncols=2)
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]


def _hour(told: Told, at: float) -> float:
    return (at - told.begins) / told.day_s * 24


def _mib(values: Sequence[float | None]) -> list[Any]:
    return [float("nan") if value is None else value for value in values]
