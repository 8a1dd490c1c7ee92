"""Seconds from the last C-STORE response of a head CT to its Structured Report in the PACS.

The series is complete on evidence (whole head, clean release), so no quiet time is waited for. Inference is shown
apart: it depends on the model and the machine, the rest on the node.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ichnode_training.receiving_pacs import ReceivingPacs

from tests.peers import wait_until

from .bench_node import AET, running_node, send, write_series
from .record import Record, median

SLICES = 32
GOAL_S = 2.0


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure one study after the other."""
    series = write_series(folder / "series")
    total, inference, rest = [], [], []
    with ReceivingPacs(folder / "pacs", "BENCHPACS") as pacs:
        destination = {"name": "pacs", "aet": pacs.aet, "host": "127.0.0.1", "port": pacs.port}
        with running_node(folder / "turnaround-node", destinations=[destination]) as node:
            for turn in range(rounds + 1):  # the first is thrown away: the network's first run allocates
                sent = send(node.port, AET, 1, SLICES, f"turnaround {turn}", series)
                came = pacs.wait_for(sent["studies"][0], 300)
                if came is None:
                    raise RuntimeError("no report came within 300 s")
                made = wait_until(lambda turn=turn: node.events("result.made")[turn:], 20, "the node logs its result")
                if not turn:
                    continue
                total.append(came[1] - sent["last_answer"])
                inference.append(float(made[0]["seconds"]["inference"]))
                rest.append(total[-1] - inference[-1])
                say(f"round {turn}: {total[-1]:.2f} s, of that inference {inference[-1]:.2f} s")
    command = "python -m benchmarks turnaround"
    note = f"{SLICES} slices of 512 x 512, default model, evidence, no quiet time"
    kept = median("", rest, "s", "").value
    return [
        median("turnaround.last-slice-to-report", total, "s", command, note=note),
        median("turnaround.inference", inference, "s", command, note=note),
        median(
            "turnaround.without-inference",
            rest,
            "s",
            command,
            note=note,
            ratio=round(kept / GOAL_S, 2),
            against=f"goal: {GOAL_S:g} s",
        ),
    ]
