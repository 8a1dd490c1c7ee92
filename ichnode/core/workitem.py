"""A work item (Unified Procedure Step, PS3.4 Annex CC) as its performer sees it: for whom, how far, its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ichnode.core.findings import Warned
from ichnode.core.reasons import because
from ichnode.core.urgency import is_urgent_priority

SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"
"""Values of Procedure Step State (0074,1000)."""
_LATER = {"LOW": 2}


@dataclass(frozen=True, slots=True)
class CodedEntry:
    """A code; two are the same where value and scheme are."""

    value: str
    scheme: str
    meaning: str = ""

    def is_one_of(self, others: Sequence[CodedEntry]) -> bool:
        """Tell whether another one means the same."""
        return any((self.value, self.scheme) == (other.value, other.scheme) for other in others)


@dataclass(frozen=True, slots=True)
class Input:
    """One series of the Input Information Sequence (0040,4021).

    Attributes
    ----------
    images : int or None
        Number of instances that the item refers to; None where it names none.
    places : tuple of str
        AE titles and hosts at which the item says that it can be had; a few, and nothing else that it says of them.
    """

    study_instance_uid: str
    series_instance_uid: str
    images: int | None = None
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workitem:
    """A work item, as the service describes it."""

    uid: str
    state: str
    readiness: str = "READY"
    priority: str = "MEDIUM"
    codes: tuple[CodedEntry, ...] = ()
    stations: tuple[CodedEntry, ...] = ()
    inputs: tuple[Input, ...] = ()

    @property
    def rank(self) -> int:
        """Place among others by its priority; the first is the most urgent."""
        return 0 if self.is_urgent else _LATER.get(self.priority, 1)

    @property
    def is_urgent(self) -> bool:
        """Whether its priority asks for haste."""
        return is_urgent_priority(self.priority)

    def is_for(self, codes: Sequence[CodedEntry], station: CodedEntry | None) -> bool:
        """Tell whether it waits for a performer of these codes at this station; services need not heed every key.

        One that names no code at all is nobody's: COMPLETED asks for the code of what was performed.
        """
        of_codes = any(code.is_one_of(codes) for code in self.codes) if codes else bool(self.codes)
        of_station = station is None or station.is_one_of(self.stations)
        return self.state == SCHEDULED and self.readiness in ("READY", "") and of_codes and of_station


@dataclass(frozen=True, slots=True)
class Output:
    """One object of the results that is at a destination."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    destination: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the node knows of the input of an item and of what became of it.

    Attributes
    ----------
    series : int
        Series that the item asks for.
    awaited : int
        Those of them that are still being fetched.
    not_fetched : tuple of Warned
        Why others of them are not here, or not with all images that the item refers to.
    unanswered : bool
        Whether a series of its studies is incomplete, or an analysis or a picture of it to be made.
    unsent : int
        Objects that are still on their way to destinations.
    analysed : bool
        Whether one of the answers that stand is positive or negative.
    reasons : tuple of Warned
        Why the other series were not analysed.
    outputs : tuple of Output
    """

    series: int
    awaited: int = 0
    not_fetched: tuple[Warned, ...] = ()
    unanswered: bool = False
    unsent: int = 0
    analysed: bool = False
    reasons: tuple[Warned, ...] = ()
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an item is: Procedure Step Progress (0074,1004) in percent, and its description."""

    percent: int
    words: str


@dataclass(frozen=True, slots=True)
class Completed:
    """It is done; `outputs` can be had."""

    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Discontinued:
    """It ends without an answer."""

    reason: Warned


def judged(stands: Standing) -> Progress | Completed | Discontinued:
    """Say how far an item is, or how it ends: COMPLETED only where all that it names came, and was answered."""
    if not stands.series:
        return Discontinued(because("NO_INPUT"))
    if stands.awaited:
        here = stands.series - stands.awaited
        return Progress(10 + 30 * here // stands.series, f"{here} of {stands.series} series are here")
    if stands.unanswered:
        return Progress(50, "The images are being analysed")
    if stands.unsent:
        return Progress(90, "The results are being delivered")
    if stands.not_fetched:
        return Discontinued(stands.not_fetched[0])
    if stands.analysed and stands.outputs:
        return Completed(stands.outputs)
    if stands.analysed:
        return Discontinued(because("NOT_DELIVERED"))
    why = stands.reasons
    return Discontinued(why[0] if why else because("NO_ANSWER"))
