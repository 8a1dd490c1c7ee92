"""Structured logs of named events, to standard error. Never a patient's name, identifier or birth date.

``log = get_logger(__name__)``; ``log.info("series.closed", series=7, verdict="positive")``.
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


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
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False, pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        stream=sys.stderr, level=max(_LEVELS[level], logging.WARNING), format="%(asctime)s %(name)s %(message)s"
    )
    # pynetdicom logs one line per PDU part and APScheduler one per tick; ours say what matters.
    for noisy in ("pynetdicom", "apscheduler", "pydicom", "highdicom", "httpx2", "httpcore2", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
