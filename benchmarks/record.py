"""One measured figure, the table of them, and the file they are kept in."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Record:
    """The median of some rounds.

    `ratio` is value divided by the value of `against`, measured in the same run; None where there is nothing beside it.
    """

    name: str
    value: float
    unit: str
    rounds: tuple[float, ...]
    command: str
    ratio: float | None = None
    against: str | None = None
    note: str = ""
    machine: dict[str, Any] = field(default_factory=dict)


def median(name: str, rounds: Sequence[float], unit: str, command: str, **more: Any) -> Record:
    """Return the record of some rounds."""
    digits = 1 if unit == "slices/s" else 3
    rounded = tuple(round(value, digits) for value in rounds)
    return Record(name, round(statistics.median(rounds), digits), unit, rounded, command, machine=machine(), **more)


def machine() -> dict[str, Any]:
    """Return what matters of this machine; nothing that names it."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (model := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        cpu = model[1]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        **gpu, "cpu": cpu, "cores": os.cpu_count(), "memory_gib": round(memory, 1), "system": platform.platform(),
        "python": platform.python_version(), "torch": version("torch"), "ichnode": version("ichnode"),
    }  # fmt: skip


def write(records: Sequence[Record], path: Path) -> None:
    """Replace the records of the same names in `path`, keep the others."""
    kept = {}
    if path.exists():
        kept = {record["name"]: record for record in json.loads(path.read_text())["records"]}
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    kept |= {record.name: asdict(record) | {"measured_at": measured_at} for record in records}
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps({"records": [kept[name] for name in sorted(kept)]}, indent=1) + "\n")
    temporary.replace(path)


def show(records: Sequence[Record]) -> None:
    """Print the table."""
    table = Table(title="Benchmarks (medians)", title_justify="left")
    for column in ("name", "value", "unit", "ratio", "against", "rounds"):
        table.add_column(column, justify="right" if column in ("value", "ratio") else "left", overflow="fold")
    for r in records:
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}"
        table.add_row(r.name, f"{r.value:g}", r.unit, ratio, r.against or "", ", ".join(f"{v:g}" for v in r.rounds[:5]))
    console = Console(width=max(Console().width, 140))
    console.print(table)
    for name, note in {r.name.rpartition(".")[2].partition("-beside-")[0]: r.note for r in records if r.note}.items():
        console.print(f"{name}: {note}", highlight=False)
