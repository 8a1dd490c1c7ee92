"""What every step is given: settings, spool, worklist, boot, clock. No global state, no container."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ichnode.config import Settings
from ichnode.core.completeness import CompletenessPolicy
from ichnode.core.eligibility import SelectionPolicy
from ichnode.dicom.decoding import Decoders
from ichnode.errors import ConfigError
from ichnode.steps.custody import Custody
from ichnode.storage.models import ModelStore
from ichnode.storage.spool import Spool
from ichnode.worklist.database import Worklist

SOURCE, LOOKING, FETCHING = "[source]", "[source] look", "[source] fetch"
"""Names of the circuits to the archive; no destination can have them. It may answer questions and give nothing."""
WORKITEMS = "[workitems]"
"""Name of the circuit to the service of work items."""


def utc_now() -> datetime:
    """Return the time, aware, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Node:
    """The node, as a step sees it.

    Attributes
    ----------
    boot_id : str
        Identity of this start; leases and sendings of other boots are free.
    now : callable
        The clock.
    decoders : Decoders
        For compressed pixels in a process that must not die of them.
    draining : threading.Event
        Set when the node is about to end: a step finishes what it has in hand and claims nothing more. What is due
        stays due, for the next start.
    custody : Custody
        Where slices of all associations come together.
    """

    settings: Settings
    spool: Spool
    worklist: Worklist
    boot_id: str
    now: Callable[[], datetime] = utc_now
    decoders: Decoders = field(default_factory=Decoders, compare=False)
    draining: threading.Event = field(default_factory=threading.Event, compare=False)
    custody: Custody = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Let the slices of all associations come together."""
        settle_s = self.settings.completeness.settle_s
        object.__setattr__(self, "custody", Custody(self.spool, self.worklist, settle_s))

    @property
    def destinations(self) -> list[str]:
        """Names of the configured destinations."""
        return [d.name for d in self.settings.destinations]

    @property
    def wanted_formats(self) -> dict[str, list[str]]:
        """Names of the destinations that want each format, in the order in which formats are listed."""
        wanted: dict[str, list[str]] = {}
        for destination in self.settings.destinations:
            for name in destination.formats:
                wanted.setdefault(name, []).append(destination.name)
        return wanted

    @property
    def models(self) -> ModelStore:
        """The bundles of the registry."""
        return ModelStore(self.settings.node.data.resolve() / "models")

    @property
    def claiming(self) -> tuple[float, float]:
        """Seconds that a claimed job may take, and that routine work is patient for."""
        return self.settings.engine.lease_s, self.settings.engine.patience_s

    @property
    def completeness(self) -> CompletenessPolicy:
        """Times of the completeness rules."""
        c = self.settings.completeness
        return CompletenessPolicy(c.quiet_s, c.settle_s, c.max_wait_s)

    @property
    def selection(self) -> SelectionPolicy:
        """Limits of the selection rules."""
        s = self.settings.selection
        return SelectionPolicy(min_slices=s.min_slices, min_extent_mm=s.min_extent_mm)


def open_node(settings: Settings, boot_id: str = "") -> Node:
    """Open spool and worklist; makes the data folder and migrates the schema where needed."""
    folder = settings.node.data.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    worklist = Worklist(settings.database_url)
    worklist.migrate()
    return Node(settings, Spool(spool_folder(settings)), worklist, boot_id)


def spool_folder(settings: Settings) -> Path:
    """Return the folder of the spool."""
    return settings.node.data.resolve() / "spool"


def existing_node(settings: Settings) -> Node:
    """Open the data of a node that has run before.

    Raises
    ------
    ConfigError
        There is no worklist: the wrong folder, most likely.
    """
    if not has_run(settings):
        raise ConfigError(
            f"There is no worklist in {settings.node.data.resolve()}. "
            "Give --config or --data of the node, or start it: ichnode serve."
        )
    return open_node(settings)


def has_run(settings: Settings) -> bool:
    """Tell whether there is a worklist."""
    return bool(settings.database.url) or (settings.node.data / "worklist.sqlite").exists()
