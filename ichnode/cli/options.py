"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """Add ``--config FILE`` and ``--data FOLDER``."""
    command = click.option("--data", type=click.Path(path_type=Path), help="Folder of spool and worklist (node.data).")(
        command
    )
    return click.option(
        "--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML configuration; default $ICHNODE_CONFIG."
    )(command)


def in_words(state: str) -> str:
    """Return the state of a delivery as people say it."""
    return {"awaiting": "awaiting commitment"}.get(state, state)


def settings_from(config: Path | None, data: Path | None = None, **overrides: Any) -> Any:
    """Load the settings with command line values on top; keys of `overrides` are ``section__key``."""
    from ichnode.config import load
    from ichnode.log import configure

    given = {key.replace("__", "."): value for key, value in overrides.items()}
    settings = load(config, {**given, "node.data": str(data) if data is not None else None})
    configure(settings.log.level, settings.log.format)
    return settings
