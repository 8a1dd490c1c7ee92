"""Structured logs of named events, to standard error. Never a patient's name, identifier or birth date.

``log = get_logger(__name__)``; ``log.info("series.closed", series=7, verdict="positive")``.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections import Counter
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_COUNTED = ("association.rejected", "slice.refused")
_seen: Counter[tuple[str, str]] = Counter()


def refusals() -> dict[tuple[str, str], int]:
    """Return how often each event of refusal was told since the process began, by (event, code).

    What is refused has no row: a peer that is not let in writes nothing.
    """
    return dict(_seen)


def get_logger(name: str) -> Any:
    """Return a logger whose events carry the module's name."""
    return structlog.get_logger(module=name.removeprefix("ichnode."))


def place_of(error: BaseException) -> str:
    """Return file and line of the innermost calls in which an error arose; its text may quote a data set."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))


def configure(level: str = "info", style: str = "text") -> None:
    """Send log lines to standard error.

    Parameters
    ----------
    level : {"debug", "info", "warning", "error"}
    style : {"text", "json"}
    """
    lowest = _LEVELS[level]

    def count(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.get("event") in _COUNTED:
            _seen[event["event"], str(event.get("code", ""))] += 1
        if _LEVELS[method] < lowest:
            raise structlog.DropEvent
        return event

    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False, pad_event_to=24)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[count, *shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(min(lowest, logging.WARNING)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # What libraries say through the standard library comes in the same form, so that every line of JSON is JSON.
    foreign = logging.StreamHandler(sys.stderr)
    foreign.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[1:], structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[foreign], level=max(lowest, logging.WARNING), force=True)
    # pynetdicom logs one line per PDU part and APScheduler one per tick; ours say what matters.
    for noisy in ("pynetdicom", "apscheduler", "pydicom", "highdicom", "httpx2", "httpcore2", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
