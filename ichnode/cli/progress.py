"""Progress of long work: a bar a stage in a terminal, lines otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Yield what is told a stage's name, how much of it is done, and of how much."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ichnode.steps.lab_process import paced

    console = Console(stderr=True)
    if not console.is_terminal:
        yield paced(lambda stage, done, of: click.echo(f"{stage}: {done} of {of}", err=True))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, object] = {}

        def told(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=of)
            bars.update(tasks[stage], completed=done, total=of)  # type: ignore[arg-type]

        yield told
