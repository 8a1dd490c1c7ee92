"""Documents that are generated from the code: ``make docs`` writes them, a test compares them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from ichnode.config import render_toml
from ichnode.core.lifecycle import diagram
from ichnode.log import configure
from tests.conformance.statement import statement
from tests.notify.examples import messages
from tests.papers.sbom import bill, licences
from tests.papers.written import hazards, software

ROOT = Path(__file__).parent.parent


def command_lines() -> str:
    """Return the help of every command."""
    from ichnode.cli.ichnode import group

    lines = ["# Command line", "", "Generated from the commands themselves by `make docs`. Research use only.", ""]
    context = click.Context(group, info_name="ichnode", **group.context_settings)

    def describe(command: click.Command, parent: click.Context, name: str) -> None:
        context = click.Context(command, info_name=name, parent=parent)
        lines.extend([f"## {context.command_path}", "", "```", command.get_help(context), "```", ""])
        if isinstance(command, click.Group):
            for sub in command.list_commands(context):
                found = command.get_command(context, sub)
                assert found is not None
                describe(found, context, sub)

    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        describe(found, context, name)
    return "\n".join(lines)


def states() -> str:
    """Return the state diagrams."""
    return f"# States\n\nGenerated from `ichnode/core/lifecycle.py` by `make docs`.\n\n{diagram()}"


def reasons() -> str:
    """Return the tables of reason and warning codes."""
    from ichnode.core.reasons import BAD_OBJECTS, BAD_REPORTS, DISCONTINUED, NOT_FETCHED, REJECTIONS, WARNINGS

    lines = [
        "# Reason and warning codes",
        "",
        "Generated from `ichnode/core/reasons.py` by `make docs`. Codes are stable.",
        "",
    ]
    tables = {
        "Why a series is not analysed": REJECTIONS,
        "Warnings": WARNINGS,
        "Why a single object is refused": BAD_OBJECTS,
        "Why a report on storage commitment is refused": BAD_REPORTS,
        "Why a series is not fetched from the archive": NOT_FETCHED,
        "Why a work item is discontinued, beside the reasons of its series": DISCONTINUED,
    }
    for title, table in tables.items():
        lines += [f"## {title}", "", "| code | what it says |", "|---|---|"]
        lines += [f"| `{code}` | {sentence} |" for code, sentence in sorted(table.items())]
        lines.append("")
    return "\n".join(lines)


def openapi() -> str:
    """Return the description of the JSON."""
    from ichnode.web.app import routes
    from ichnode.web.openapi import document

    return json.dumps(document(routes(1)), indent=1, ensure_ascii=False) + "\n"


DOCUMENTS: dict[str, Callable[[], str]] = {
    "config.toml": render_toml,
    "docs/commands.md": command_lines,
    "docs/states.md": states,
    "docs/reasons.md": reasons,
    "docs/conformance.md": statement,
    "docs/messages.md": messages,
    "docs/openapi.json": openapi,
    "docs/papers/hazards.md": hazards,
    "docs/papers/software.md": software,
    "docs/papers/licences.md": licences,
    "docs/papers/sbom.cdx.json": bill,
}

if __name__ == "__main__":
    configure("error")
    for name in sys.argv[1:] or DOCUMENTS:
        (ROOT / name).write_text(DOCUMENTS[name](), encoding="utf-8")
