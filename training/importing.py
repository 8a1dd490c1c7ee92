"""What all importers share: series go into a data set one by one, in threads; what is bad is named and left out.

An import that was killed goes on where it was: a series is in the index or it is not. Run again with other labels, it
only changes the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ichnode.errors import BadObject

from .plane_writer import PlaneWriter
from .planes import DataSetError, Scan, as_json


@dataclass(frozen=True, slots=True)
class Refused:
    """Something of the source that did not go in: a file, a series or a label, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A series as it was read; `refused` are files of it that could not be used while the rest could."""

    scan: Scan
    hu: NDArray[np.int16]
    lesion: NDArray[np.bool_] | None = None
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A series of the source that waits to be read.

    Attributes
    ----------
    name : str
        What a person finds it by: its folder or file.
    study, series : str
    read : callable
        Returns the `Material`, unlabelled.
    label : callable
        Returns a scan with the labels of the source; also for one that is in the data set already.
    """

    name: str
    study: str
    series: str
    read: Callable[[], Material]
    label: Callable[[Scan], Scan]


def bring_in(
    writer: PlaneWriter, sources: Sequence[Source], threads: int, tell: Callable[[str], None]
) -> tuple[Refused, ...]:
    """Bring every series into the data set that is not there yet.

    Parameters
    ----------
    writer : PlaneWriter
    sources : sequence of Source
    threads : int
        Series read at a time: the decoders and the disk let go of Python's lock.
    tell : callable
        Called once for each source with what was done: ``"there"``, ``"read"`` or ``"refused"``.

    Returns
    -------
    tuple of Refused
    """
    refused: list[Refused] = []
    missing: list[Source] = []
    for source in sources:
        there = writer.find(source.study, source.series)
        if there is None:
            missing.append(source)
            continue
        labelled = source.label(there)
        if as_json(labelled) != as_json(there):
            writer.relabel(labelled)
        tell("there")
    with ThreadPoolExecutor(threads) as pool:
        for source, read in _in_turn(pool, missing, 2 * threads):
            try:
                material = read.result()
            except (BadObject, DataSetError, OSError) as error:
                refused.append(Refused(source.name, error.sentence if hasattr(error, "sentence") else str(error)))
                tell("refused")
                continue
            writer.add(source.label(material.scan), material.hu, material.lesion)
            refused += material.refused
            tell("read")
    return tuple(refused)


def _in_turn(
    pool: ThreadPoolExecutor, sources: Sequence[Source], most: int
) -> Iterator[tuple[Source, Future[Material]]]:
    """Yield what was read, at most `most` volumes in memory."""
    waiting = iter(sources)
    running: dict[Future[Material], Source] = {}
    while True:
        for source in islice(waiting, most - len(running)):
            running[pool.submit(source.read)] = source
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future
