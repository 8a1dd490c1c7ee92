"""What a peer may answer to an object that it is sent, by C-STORE or STOW-RS, and what the node makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What became of one file.

    Attributes
    ----------
    path : Path
    status : int or None
        The peer's DIMSE status, or the reason that stands for it in a STOW-RS answer; None when it gave none.
    error : str or None
        None when the peer has the object; else one sentence.
    transient : bool
        Whether the same attempt may succeed later without anybody changing anything.
    """

    path: Path
    status: int | None
    error: str | None
    transient: bool


@dataclass(frozen=True, slots=True)
class Alternatives:
    """SOP Classes under which the content of a file may travel as well, for peers that do not take its own.

    Attributes
    ----------
    sop_classes : mapping of Path to sequence of SOP Class UID
        The best liked first; a file's own class is used only where it is among them. Files without an entry travel
        as they are.
    recast : callable
        Makes a file of another class; called once the peer has accepted that class, so that nothing is made in vain.
    """

    sop_classes: Mapping[Path, Sequence[str]]
    recast: Callable[[Path, str], Path]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the statuses from `first` to `last` are taken as."""

    first: int
    last: int
    taken_as: Literal["stored", "transient", "permanent"]
    meaning: str


SOP_CLASS_NOT_SUPPORTED = 0x0122

JUDGEMENTS = (
    Judgement(0x0000, 0x0000, "stored", "Success"),
    Judgement(0x0111, 0x0111, "stored", "Duplicate SOP Instance: it is there from an earlier attempt"),
    Judgement(0xB000, 0xB000, "stored", "Warning: coercion of data elements"),
    Judgement(0xB006, 0xB006, "stored", "Warning: elements discarded"),
    Judgement(0xB007, 0xB007, "stored", "Warning: data set does not match SOP Class"),
    Judgement(0xA700, 0xA7FF, "transient", "Refused: out of resources"),
    Judgement(0x0110, 0x0110, "transient", "Processing failure"),
    Judgement(0x0213, 0x0213, "transient", "Resource limitation"),
    Judgement(0xA900, 0xA9FF, "permanent", "Error: data set does not match SOP Class"),
    Judgement(0xC000, 0xCFFF, "permanent", "Error: cannot understand"),
    Judgement(SOP_CLASS_NOT_SUPPORTED, SOP_CLASS_NOT_SUPPORTED, "permanent", "Refused: SOP Class not supported"),
    Judgement(0x0124, 0x0124, "permanent", "Refused: not authorized"),
    Judgement(0x0000, 0xFFFF, "permanent", "Anything else"),
)
"""C-STORE statuses (PS3.4 Table B.2-1, PS3.7 9.1.1.1.9), and with them the reasons of STOW-RS (PS3.18 Annex I.2).

The first that fits counts.
"""


def judged(name: str, path: Path, status: int) -> StoreAnswer:
    """Classify the status with which the peer called `name` answered a file."""
    judgement = next(j for j in JUDGEMENTS if j.first <= status <= j.last)
    if judgement.taken_as == "stored":
        return StoreAnswer(path, status, None, False)
    error = f"{name} refused the object with status 0x{status:04X}."
    return StoreAnswer(path, status, error, judgement.taken_as == "transient")
