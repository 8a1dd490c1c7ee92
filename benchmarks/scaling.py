"""The pool on paper: ``python -m benchmarks.scaling`` prints what 1 to 1,000 hospitals need, from measured times.

A day is drawn: studies come at random, more by day than by night (`HOURLY`), from all hospitals in one time zone, which
is the worst case. Whoever comes is read by the first of c workers that is free, in the order of coming (M(t)/G/c). The
smallest c is sought with which 95 of 100 that come in the busiest hour wait for less than `WAIT_S`. What is read is as
measured by ``python -m benchmarks turnaround``; what is assumed stands in `Assumed`.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

HOSPITALS = (1, 3, 10, 30, 100, 300, 1000)
HOURLY = (2, 2, 1, 1, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 6, 6, 6, 5, 4, 4, 3, 2, 2)
"""Of 100 studies, how many come in each hour of the day."""
WAIT_S = 10.0
DAYS = 20
"""Drawn for each size; fewer, and the 95th percentile of a single hospital is noise."""
SLICE_MB = 0.53
LATEST = Path(__file__).with_name("latest.json")


@dataclass(frozen=True)
class Assumed:
    """What was not measured here."""

    studies_a_day: float = 40.0
    thin_share: float = 0.2
    thin_slices: int = 300
    thick_slices: int = 34
    thin_factor: float = 1.5
    """A thin series is averaged to slabs and then read as a thick one; more is decoded and carried."""
    spread: float = 0.3
    """Standard deviation of the reading time of like series, as a share of its mean."""
    lost_share: float = 0.01
    """Of readings, cut short by a lost worker and done again."""

    @property
    def slices(self) -> float:
        """Of a mean study."""
        return self.thin_share * self.thin_slices + (1 - self.thin_share) * self.thick_slices


@dataclass(frozen=True)
class Need:
    """What a number of hospitals needs in its busiest hour."""

    hospitals: int
    studies_a_day: float
    workers: int
    busy: float
    wait_p95_s: float
    slices_a_second: float
    megabytes_a_second: float
    terabytes_a_day: float
    catch_up_min: float
    """Minutes until nothing waits any more after the pool was away for the whole busiest hour."""


def arrivals(rng: np.random.Generator, a_day: float, days: int) -> NDArray[np.float64]:
    """Draw when studies come, in seconds from the first midnight, in order."""
    share = np.tile(np.array(HOURLY) / sum(HOURLY), days)
    counts = rng.poisson(a_day * share)
    hours = np.repeat(np.arange(len(share)), counts)
    return np.sort(3600.0 * (hours + rng.random(len(hours))))


def services(rng: np.random.Generator, number: int, read_s: float, assumed: Assumed) -> NDArray[np.float64]:
    """Draw how long each is read: log-normal around `read_s`, longer for thin series, twice for those that are lost."""
    sigma = math.sqrt(math.log1p(assumed.spread**2))
    drawn = read_s * rng.lognormal(-(sigma**2) / 2, sigma, number)
    drawn *= np.where(rng.random(number) < assumed.thin_share, assumed.thin_factor, 1.0)
    return drawn * np.where(rng.random(number) < assumed.lost_share, 2.0, 1.0)


def waits(came_s: Sequence[float], read_s: Sequence[float], workers: int) -> NDArray[np.float64]:
    """Return how long each waits for the first of `workers` that is free, in the order of coming."""
    free = [0.0] * workers
    waited = np.empty(len(came_s))
    for index, (came, reading) in enumerate(zip(came_s, read_s, strict=True)):
        begins = max(came, heapq.heappop(free))
        waited[index] = begins - came
        heapq.heappush(free, begins + reading)
    return waited


def need(hospitals: int, read_s: float, assumed: Assumed, seed: int = 7) -> Need:
    """Return the fewest workers that keep the wait of the busiest hour, and what else that hour asks for."""
    rng = np.random.default_rng(seed)
    a_day = hospitals * assumed.studies_a_day
    came = arrivals(rng, a_day, DAYS)
    reading = services(rng, len(came), read_s, assumed)
    busiest = (came // 3600 % 24) == int(np.argmax(HOURLY))
    peak = a_day * max(HOURLY) / sum(HOURLY) / 3600
    offered = peak * float(reading.mean())
    workers = max(1, math.ceil(offered + 1e-9))
    while (p95 := float(np.quantile(waits(came, reading, workers)[busiest], 0.95))) > WAIT_S:
        workers += 1
    return Need(
        hospitals, a_day, workers, offered / workers, p95, peak * assumed.slices, peak * assumed.slices * SLICE_MB,
        a_day * assumed.slices * SLICE_MB / 1e6, 60 * offered / (workers - offered),
    )  # fmt: skip


def measured(name: str) -> float:
    """Return a figure of `benchmarks/latest.json`."""
    return next(float(r["value"]) for r in json.loads(LATEST.read_text())["records"] if r["name"] == name)


def table(needs: Sequence[Need], cores: int, price: float) -> str:
    """Return the table in Markdown."""
    lines = [
        "| hospitals | studies a day | workers | busy | 95 % wait, s | catch up, min | slices/s | MB/s | TB a day "
        "| a month |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {n.hospitals:,} | {n.studies_a_day:,.0f} | {n.workers} | {n.busy:.1%} | {n.wait_p95_s:.1f} | "
        f"{n.catch_up_min:.0f} | {n.slices_a_second:.1f} | {n.megabytes_a_second:.1f} | {n.terabytes_a_day:.3f} | "
        f"{n.workers * cores * price * 730:,.0f} |"
        for n in needs
    ]
    return "\n".join(lines)


@click.command()
@click.option("--read-s", type=float, help="Seconds a series on one worker; default: as measured.")
@click.option("--cores", default=2, show_default=True, help="Cores of a worker, or 1 for a GPU, for the price.")
@click.option("--price", default=0.04, show_default=True, help="Price of a core, or of a GPU, for an hour.")
@click.option("--studies-a-day", default=Assumed.studies_a_day, show_default=True, help="Head CTs of one hospital.")
def main(read_s: float | None, cores: int, price: float, studies_a_day: float) -> None:
    """Print what 1 to 1,000 hospitals need."""
    taken = read_s or measured("turnaround.inference")
    assumed = Assumed(studies_a_day=studies_a_day)
    click.echo(f"{taken:.2f} s a series; of 100 studies {max(HOURLY)} come in the busiest hour.\n")
    click.echo(table([need(number, taken, assumed) for number in HOSPITALS], cores, price))


if __name__ == "__main__":
    main()
