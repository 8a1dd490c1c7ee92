"""``ichnode model``: the models of this node, which one is active, and what the gate says of the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ichnode.cli.options import config_option, settings_from
from ichnode.cli.retrain import print_checks, say_verdict

if TYPE_CHECKING:
    from ichnode.steps.node import Node
    from ichnode.worklist.models import ModelRow
    from ichnode.worklist.shadows import Agreement

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def command() -> None:
    """List, import, judge, promote and roll back models. MODEL is the beginning of a digest, `active` or `shadow`.

    Example: ichnode model list
    """


def _model_command(function: F) -> F:
    return command.command(name=function.__name__.rstrip("_"))(config_option(function))  # type: ignore[return-value]


def _node(config: Path | None, data: Path | None) -> Node:
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node

    return existing_node(settings)


@_model_command
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def list_(config: Path | None, data: Path | None, as_json: bool) -> None:
    """List the models: the active one first, then the latest.

    Example: ichnode model list --json
    """
    node = _node(config, data)
    from ichnode.worklist import models

    with node.worklist.read() as tx:
        rows = models.registered(tx)
    if as_json:
        click.echo(json.dumps([_plain(row) for row in rows], indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Models: research use only", title_justify="left")
    table.add_column("digest", no_wrap=True, min_width=12)
    for column in ("state", "name and version", "from", "gate", "since (UTC)"):
        table.add_column(column, overflow="fold")
    for row in rows:
        since = row.retired_at or row.activated_at or row.registered_at
        state = Text(row.state + (" (pinned)" if row.pinned else ""), "bold green" if row.state == "active" else "")
        named = Text(f"{row.name} {row.version}")
        table.add_row(row.digest[:12], state, named, row.origin, _gate(row), f"{since:%Y-%m-%d %H:%M}")
    Console().print(table if rows else "No model is registered yet: the node does that when it starts.")


@_model_command
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.option("--card", is_flag=True, help="The whole card as Markdown, and nothing else.")
@click.argument("model")
def show(config: Path | None, data: Path | None, as_json: bool, card: bool, model: str) -> None:
    """Show one model: where it comes from, what the gate found, how it agrees with the active one as a shadow.

    Example: ichnode model show shadow
    """
    node = _node(config, data)
    from ichnode.inference.bundle import load_bundle
    from ichnode.inference.card import as_markdown
    from ichnode.worklist import models, shadows

    with node.worklist.read() as tx:
        row = models.model(tx, model)
        agreement = shadows.agreement(tx, row.digest)
    if card:
        click.echo(as_markdown(load_bundle(node.models.path(row.digest)).card), nl=False)
    elif as_json:
        facts = {**_plain(row), "agreement": asdict(agreement)}
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print(row)
        _print_agreement(row, agreement)


@_model_command
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def import_(config: Path | None, data: Path | None, folder: Path) -> None:
    """Take a model bundle into the data folder, as a candidate. Its files are checked and its network is tried.

    Example: ichnode model import /media/usb/bundle
    """
    node = _node(config, data)
    from ichnode.steps.register import IMPORT, take_in
    from ichnode.worklist import models
    from ichnode.worklist.audit import terminal

    bundle, new = take_in(node, folder, IMPORT, by=terminal())
    name = bundle.digest[:12]
    with node.worklist.read() as tx:
        row = models.model(tx, bundle.digest)
    because = f", because: {row.rejected_because}" if row.rejected_because else ""
    said = (
        f"is a candidate now. Next: ichnode model judge {name}" if new else f"was there already: {row.state}{because}"
    )
    click.echo(f"{bundle.name} {bundle.version}, digest {name}, {said}")


@_model_command
@click.option(
    "--outcomes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV of report outcomes (retrain.outcomes).",
)
@click.argument("model")
def judge(config: Path | None, data: Path | None, outcomes: Path | None, model: str) -> int:
    """Let the gate judge a candidate against the active model, on this hospital's test set and on phantoms.

    Exit code 0: it may be promoted, 3: it may not.

    Example: ichnode model judge 3f9a1c --outcomes reports.csv
    """
    node = _node(config, data)
    from ichnode.cli.progress import stages
    from ichnode.steps.retrain import judge as ask_the_gate
    from ichnode.worklist.audit import terminal

    with stages() as told:
        judgement = ask_the_gate(node, terminal(), model, outcomes or node.settings.retrain.outcomes_file, told)
    return say_verdict(judgement)


@_model_command
@click.option("--force", is_flag=True, help="Although the gate failed or never ran; needs --because.")
@click.option("--because", default="", help="Why, for registry and journal; no patient's name.")
@click.argument("model")
def promote(config: Path | None, data: Path | None, force: bool, because: str, model: str) -> None:
    """Make MODEL active. Refused where the gate failed or never ran. A running node follows between two series.

    Example: ichnode model promote 3f9a1c
    """
    if force != bool(because.strip()):
        raise click.UsageError("--force and --because go together: say why the gate is to be passed over.")
    node = _node(config, data)
    from ichnode.steps.promote import promote as make_active
    from ichnode.worklist.audit import terminal

    row = make_active(node, model, terminal(), because.strip() or None)
    forced = f" Forced: {row.forced_because}" if row.forced_because else ""
    click.echo(f"{row.name} {row.version}, digest {row.digest[:12]}, is active.{forced}")


@_model_command
@click.option("--stop", is_flag=True, help="Let nothing run beside the active model.")
@click.argument("model", required=False)
def shadow(config: Path | None, data: Path | None, stop: bool, model: str | None) -> int:
    """Let MODEL read every series from now on, beside the active model; what it says is kept and never sent.

    `ichnode model show shadow` has how the two agree.

    Example: ichnode model shadow 3f9a1c
    """
    if stop == (model is not None):
        raise click.UsageError("Give either MODEL or --stop.")
    node = _node(config, data)
    from ichnode.steps.promote import check_whole
    from ichnode.worklist import audit, models

    with node.worklist.write() as tx:
        if model is None:
            if ended := models.end_shadow(tx, node.now()):
                audit.record(tx, node.now(), audit.terminal().name, "model.shadow_ended", model=ended)
            click.echo(f"{ended[:12]} is a candidate again." if ended else "Nothing runs beside the active model.")
            return 0 if ended else 1
        row = models.model(tx, model)
        check_whole(node, row.digest)
        models.shadow(tx, node.now(), row.digest)
        audit.record(tx, node.now(), audit.terminal().name, "model.shadowed", model=row.digest)
    click.echo(
        f"{row.name} {row.version}, digest {row.digest[:12]}, reads beside the active model from now on. "
        "How the two agree: ichnode model show shadow"
    )
    return 0


@_model_command
def rollback(config: Path | None, data: Path | None) -> None:
    """Make the model active again that was active before. Said twice, it leads back to where one was.

    Example: ichnode model rollback
    """
    node = _node(config, data)
    from ichnode.steps.promote import rollback as back
    from ichnode.worklist.audit import terminal

    row = back(node, terminal())
    click.echo(f"{row.name} {row.version}, digest {row.digest[:12]}, is active again.")


@_model_command
@click.option("--because", required=True, help="Why, for registry and journal; no patient's name.")
@click.argument("model")
def reject(config: Path | None, data: Path | None, because: str, model: str) -> None:
    """Put a candidate aside for good.

    Example: ichnode model reject 3f9a1c --because "Misses epidural haemorrhage."
    """
    node = _node(config, data)
    from ichnode.worklist import audit, models

    with node.worklist.write() as tx:
        row = models.model(tx, model)
        models.reject(tx, node.now(), row.digest, because)
        audit.record(
            tx, node.now(), audit.terminal().name, "model.rejected", model=row.digest, rejected_because=because
        )
    click.echo(f"{row.name} {row.version}, digest {row.digest[:12]}, is rejected.")


def _gate(row: ModelRow) -> str:
    if row.judgement is None:
        return "not judged"
    return "passed" if row.judgement["passed"] else "failed"


def _plain(row: ModelRow) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(row).items()}


def _print(row: ModelRow) -> None:
    click.echo(f"{row.name} {row.version} (research use only)")
    click.echo(f"  digest {row.digest}")
    click.echo(f"  {row.state}{', pinned by engine.bundle' if row.pinned else ''}; from {row.origin}")
    moments = {
        "registered": row.registered_at,
        "shadow from": row.shadowed_at,
        "active since": row.activated_at,
        "retired": row.retired_at,
    }
    for name, moment in moments.items():
        if moment is not None:
            click.echo(f"  {name} {moment:%Y-%m-%d %H:%M} UTC")
    if row.forced_because:
        click.echo(f"  PROMOTED AGAINST THE GATE: {row.forced_because}")
    if row.rejected_because:
        click.echo(f"  rejected: {row.rejected_because}")
    if row.judgement is None:
        click.echo("  gate: never ran")
        return
    said = "passed" if row.judgement["passed"] else "FAILED"
    click.echo(f"  gate {said} on {row.judged_at:%Y-%m-%d %H:%M} UTC, against {row.judgement['against'][:12]}")
    print_checks(row.judgement)


def _print_agreement(row: ModelRow, agreement: Agreement) -> None:
    if not agreement.series and not agreement.failed:
        if row.state == "shadow":
            click.echo("  as a shadow: nothing read yet; it reads what is analysed from now on")
        return
    failed = f", {agreement.failed} could not be read" if agreement.failed else ""
    click.echo(f"  as a shadow: {agreement.series} series read{failed}")
    if not agreement.series:
        return
    share = agreement.same / agreement.series
    click.echo(f"    same verdict as the active model: {agreement.same} of {agreement.series} ({share:.0%})")
    for who, studies in (("the active model", agreement.only_active), ("the shadow", agreement.only_shadow)):
        if studies:
            numbers = ", ".join(str(study) for study in studies[-20:])
            more = f" and {len(studies) - 20} before" if len(studies) > 20 else ""
            click.echo(f"    positive by {who} alone: {len(studies)} (`ichnode show` {numbers}{more})")
    click.echo("    class              both  active alone  shadow alone  neither")
    for name, (both, active, shadow, neither) in agreement.classes.items():
        click.echo(f"    {name:<18} {both:>4}  {active:>12}  {shadow:>12}  {neither:>7}")
