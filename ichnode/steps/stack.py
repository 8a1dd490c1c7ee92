"""Stack: the slices of a series as people look at them, ordered by place, in Hounsfield units, the right side left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ichnode.core.identity import digest_of
from ichnode.core.planes import encode
from ichnode.core.slices import Slice
from ichnode.dicom.pixels import MOST_PIXELS
from ichnode.errors import BadObject
from ichnode.reporting.picture.view import View, radiological
from ichnode.steps.assemble import look_at
from ichnode.steps.node import Node
from ichnode.worklist import assembly, results
from ichnode.worklist.assembly import Filed

PLANES_AT_ONCE = 4
FRAMES_AT_ONCE = 16
"""Of one multi-frame file, which is opened anew for each part."""
_UNREAD = (0).to_bytes(4, "little")
_AS_STORED = View(False, False, False, "", "", "", "")


@dataclass(frozen=True, slots=True)
class Shown:
    """One slice of a stack.

    Attributes
    ----------
    filed : Filed
    position_mm : float or None
        Along the slice normal, growing towards the head; None where the headers do not place it.
    view : View
        How its pixels are turned.
    rows, columns : int
        As they are shown; 0 where there are no pixels that can be.
    pixel_mm : (float, float)
        Height and width of a pixel as it is shown; square where the headers do not say.
    """

    filed: Filed
    position_mm: float | None
    view: View
    rows: int
    columns: int
    pixel_mm: tuple[float, float]

    @property
    def key(self) -> tuple[str, int]:
        """SOP Instance UID and frame, as in `Outcome.order`."""
        return _key(self.filed)


@dataclass(frozen=True, slots=True)
class Stack:
    """The slices of a series in order.

    Attributes
    ----------
    digest : str
        Of what it is made of: the same digest shows the same pixels, for ever.
    slices : tuple of Shown
        From the lowest upwards: all that are here, in the order of the scores where these are of the very same slices.
    part : int
        How many slices are fetched at once.
    """

    series_id: int
    digest: str
    slices: tuple[Shown, ...]
    part: int

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-len(self.slices) // self.part)


def stack_of(node: Node, series_id: int) -> Stack:
    """Return the slices of a series, whatever its state; empty for one that is not there."""
    with node.worklist.read() as tx:
        filed = assembly.filed_slices(tx, series_id) or assembly.filed_slices(tx, series_id, conflict=True)
        order = results.order_of_scores(tx, series_id)
    chosen = _in_order(node, filed, order)
    slices = tuple(_shown(one) for one in chosen)
    digest = digest_of(*(f"{one.filed.file} {one.key[0]} {one.key[1]}\n".encode() for one in slices))
    multi_frame = len({one.filed.file for one in slices}) < len(slices)
    return Stack(series_id, digest, slices, FRAMES_AT_ONCE if multi_frame else PLANES_AT_ONCE)


def part_of(node: Node, stack: Stack, part: int) -> tuple[bytes, bool]:
    """Decode one part of a stack.

    Returns
    -------
    bytes
        For each slice its length in bytes (32 bits, little-endian), then `ichnode.core.planes.encode` of it; the length
        is 0 where its pixels cannot be read.
    bool
        Whether all could be read: what could not, for want of time or files, may be there the next time.
    """
    chosen = stack.slices[part * stack.part : (part + 1) * stack.part]
    by_file: dict[str, list[Shown]] = {}
    for one in chosen:
        by_file.setdefault(one.filed.file, []).append(one)
    made = {one.key: plane for ones in by_file.values() for one, plane in zip(ones, _planes(node, ones), strict=True)}
    return b"".join(made[one.key] for one in chosen), _UNREAD not in made.values()


def _planes(node: Node, ones: Sequence[Shown]) -> Iterator[bytes]:
    """Yield the bytes of slices that lie in the same file."""
    try:
        if not all(one.rows for one in ones):
            raise BadObject("There are no pixels to show.", "PIXELS_UNREADABLE")
        file, syntax = node.spool.path(ones[0].filed.file), ones[0].filed.slice.transfer_syntax_uid
        planes = node.decoders.read_hounsfield(file, [one.filed.slice.frame for one in ones], syntax)
    except (BadObject, OSError) as error:
        if len(ones) == 1 or isinstance(error.__cause__, TimeoutError):  # each alone would take as long again
            yield from [_UNREAD] * len(ones)
            return
        for one in ones:  # one bad frame does not hide the others
            yield from _planes(node, [one])
        return
    for one, plane in zip(ones, planes, strict=True):
        content = encode(one.view.turn(plane))
        yield len(content).to_bytes(4, "little") + content


def _in_order(node: Node, filed: Sequence[Filed], order: Sequence[tuple[str, int]]) -> list[Filed]:
    """Return the slices in the order of the scores; by their place where others are here than those with scores."""
    by_key = {_key(one): one for one in filed}
    if len(by_key) != len(order) or not by_key.keys() >= set(order):
        placed = _by_place(node, filed)
        if {_key(one) for one in placed} != set(order):  # an analysis leaves out what lies twice in the same place
            return placed
    return [by_key[key] for key in order]


def _key(one: Filed) -> tuple[str, int]:
    return one.slice.sop_instance_uid, one.slice.frame


def _by_place(node: Node, filed: Sequence[Filed]) -> list[Filed]:
    geometry = look_at(tuple(one.slice for one in filed), node.selection).geometry
    order = list(geometry.order)
    if geometry.refusal is not None:  # no volume: in the order of their numbers
        order.sort(key=lambda i: (filed[i].slice.instance_number or 0, filed[i].slice.frame))
    return [filed[i] for i in order]


def _shown(one: Filed) -> Shown:
    facts = one.slice
    view = radiological(facts.orientation) if facts.orientation else _AS_STORED
    rows, columns = facts.rows or 0, facts.columns or 0
    if not facts.has_pixels or rows * columns > MOST_PIXELS:
        rows = columns = 0
    pixel_mm = view.pixel_mm(facts.pixel_spacing_mm or (1.0, 1.0))
    if view.transposed:
        rows, columns = columns, rows
    return Shown(one, _position_mm(facts), view, rows, columns, pixel_mm)


def _position_mm(facts: Slice) -> float | None:
    if facts.position_mm is None or facts.orientation is None:
        return None
    normal = np.cross(facts.orientation[:3], facts.orientation[3:])
    upwards = 1.0 if normal[int(np.argmax(np.abs(normal)))] >= 0 else -1.0
    return float(np.dot(facts.position_mm, normal) * upwards)
