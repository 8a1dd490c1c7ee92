"""``ichnode worklist``: the studies, the most urgent first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ichnode.cli.options import config_option, in_words, settings_from

_STYLE = {
    "positive": "bold red",
    "pending": "yellow",
    "not_analysed": "magenta",
    "retracted": "magenta",
    "negative": "green",
}


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Studies at most.")
def command(config: Path | None, data: Path | None, as_json: bool, limit: int) -> None:
    """List the studies: unread first, by urgency (positive, failed, pending, not analysed, negative), score and age.

    Example: ichnode worklist --json
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.worklist import audit, retrievals, triage_list

    node = existing_node(settings)
    with node.worklist.write() as tx:
        studies = triage_list.page(tx, limit)
        missing = retrievals.given_up(tx)
        audit.record(tx, node.now(), audit.terminal().name, "worklist.viewed", studies=[one["id"] for one in studies])
    if as_json:
        click.echo(json.dumps(studies, indent=2, ensure_ascii=False))
        return
    _table(studies)
    for one in missing:
        click.echo(f"Not fetched: study {one['study_instance_uid']}: {one['error']} ({one['attempts']} attempts)")


def _table(studies: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A terminal of 80 columns has room for this where nothing is long.
    title = "Worklist: research use only, not for diagnosis"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("#", "verdict", "score"):
        table.add_column(column, no_wrap=True)
    for column in ("accession", "patient", "received (UTC)", "images", "reports"):
        table.add_column(column, overflow="fold")
    for s in studies:
        verdict = s["verdict"].replace("_", " ") + ("\n(preliminary)" if s["preliminary"] else "")
        verdict += "\n(urgent)" if s["urgent_because"] else ""
        verdict += "\n(failed)" if s["failed"] else ""
        verdict += "\n(overdue)" if s["overdue_since"] else ""
        verdict += f"\n(read by {s['read_by']})" if s["read_by"] else ""
        score = "" if s["any_score"] is None else f"{s['any_score']:.2f}"
        reports = _in_numbers(s["deliveries"]) + (f"\n(notices: {_in_numbers(s['notices'])})" if s["notices"] else "")
        table.add_row(
            str(s["id"]), Text(verdict, _STYLE[s["verdict"]]), score, Text(s["accession_number"]),
            Text(s["patient_id"]), s["last_slice_at"][:16].replace("T", " "), str(s["slices"]), reports,
        )  # fmt: skip
    console = Console()
    console.print(table if studies else "The worklist is empty. Send a head CT: ichnode send --help")


def _in_numbers(states: dict[str, int]) -> str:
    return ", ".join(f"{number} {in_words(state)}" for state, number in sorted(states.items()))
