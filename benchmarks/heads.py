"""How long a receiver takes for one series on one association: thick and thin, as it is and compressed.

From the first byte of the first request to the last answer; peers, disk and rules as of `benchmarks.receive`.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from .bench_node import send, write_series
from .receivers import DURABLE, NODES, receivers
from .record import Record, median

_SIZES = {
    "34-slices": (34, None), "300-slices": (300, None), "34-slices-jpeg-ls": (34, JPEGLSLossless),
    "34-slices-jpeg-2000": (34, JPEG2000Lossless),
}  # fmt: skip
_OURS = "ichnode"


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure all receivers that are installed."""
    plain = write_series(folder / "series")
    series = {name: _as(plain, folder / f"heads-{name}", syntax) for name, (_, syntax) in _SIZES.items()}
    with receivers(folder / "heads", say, {_OURS: NODES[_OURS]}) as found:
        took: dict[tuple[str, str], list[float]] = {(name, size): [] for name in found for size in _SIZES}
        for turn in range(rounds + 1):  # the first is thrown away: caches, first writes
            for size, (slices, _) in _SIZES.items():
                order = list(found)
                for name in order[turn % len(order) :] + order[: turn % len(order)]:
                    os.sync()  # nobody pays for what was written before
                    to = found[name]
                    said = send(to.port, to.aet, 1, slices, f"{turn} {size} {name}", series[size])
                    if turn:
                        took[name, size].append(said["seconds"])
                        say(f"round {turn}, {size}, {name}: {said['seconds']:.2f} s")
    return [
        record for size in _SIZES for record in _records(size, series[size], took, [to.title for to in found.values()])
    ]


def _records(size: str, series: Path, took: dict[tuple[str, str], list[float]], titles: list[str]) -> list[Record]:
    ours = statistics.median(took[_OURS, size])
    megabytes = statistics.mean(file.stat().st_size for file in series.iterdir()) / 1e6
    records = []
    for title in titles:
        name = title.partition(" ")[0]
        rounds = took[name, size]
        ratio = {} if name == _OURS else {"ratio": round(statistics.median(rounds) / ours, 2), "against": _OURS}
        note = f"{DURABLE[name]}; {megabytes:.2f} MB a slice"
        records.append(median(f"heads.{size}.{name}", rounds, "s", "python -m benchmarks heads", note=note, **ratio))
    return records


def _as(plain: Path, folder: Path, syntax: str | None) -> Path:
    """Return the folder of the series in that transfer syntax."""
    if syntax is None:
        return plain
    folder.mkdir()
    for file in sorted(plain.iterdir()):
        one = dcmread(file)
        one.compress(syntax, generate_instance_uid=False)
        one.save_as(folder / file.name)
    return folder
