"""``ichnode retrain``: a candidate from the labels of this hospital, and the gate's word on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ichnode.cli.options import config_option, settings_from
from ichnode.cli.progress import stages

if TYPE_CHECKING:
    from ichnode.steps.retrain import Retrained


@click.command()
@config_option
@click.option(
    "--outcomes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV of report outcomes (retrain.outcomes): accession or study_instance_uid, and any, subdural, … as 1 or 0.",
)
@click.option("--recipe", type=click.Choice(["auto", "head", "cnn"]), help="What learns (retrain.recipe).")
@click.option("--check", is_flag=True, help="Only count the labels; train nothing.")
def command(config: Path | None, data: Path | None, outcomes: Path | None, recipe: str | None, check: bool) -> int:
    """Learn from what readers said and from report outcomes: make a candidate and let the gate judge it.

    It starts from the active model, and promotes nothing. Exit code 0: the gate let the candidate through, 3: it did
    not, 1: there is no candidate.

    Example: ichnode retrain --outcomes reports.csv
    """
    settings = settings_from(config, data)
    from ichnode.steps.labels import check_enough, gather
    from ichnode.steps.node import existing_node
    from ichnode.steps.retrain import retrain
    from ichnode.worklist.audit import terminal

    node = existing_node(settings)
    file = outcomes or settings.retrain.outcomes_file
    if check:
        gathered = gather(node, file)
        positives = sum(gathered.bleeds.values())
        click.echo(
            f"{len(gathered.labelled)} labelled series of {positives} patients with haemorrhage and "
            f"{len(gathered.bleeds) - positives} without."
        )
        _left_out(gathered.contradictory, gathered.shared, gathered.without_answer)
        check_enough(gathered, settings.retrain.least_positives, settings.retrain.least_negatives)
        return 0
    with stages() as told:
        done = retrain(node, terminal(), file, told, recipe=recipe)
    return _say(done)


def _say(done: Retrained) -> int:
    _left_out(done.contradictory, done.shared, done.without_answer)
    return say_verdict(done.judgement)


def say_verdict(judgement: dict[str, Any]) -> int:
    """Print what the gate found and what can be done next; return the exit code."""
    name = judgement["candidate"][:12]
    print_checks(judgement)
    if judgement["passed"]:
        click.echo(
            f"The gate lets the candidate {name} through. Next: ichnode model shadow {name}, or "
            f"ichnode model promote {name}."
        )
        return 0
    click.echo(
        f"The gate does not let the candidate {name} through. `ichnode model show {name} --json` has its figures."
    )
    return 3


def print_checks(judgement: dict[str, Any]) -> None:
    """Print what the gate found, a line a check."""
    for one in judgement["checks"]:
        click.echo(f"  {'ok  ' if one['passed'] else 'FAIL'}  {one['name']}: {one['sentence']}")


def _left_out(contradictory: tuple[int, ...], shared: tuple[int, ...], without_answer: int) -> None:
    for studies, why in (
        (contradictory, "readers or reports say different things"),
        (shared, "their accession number is that of several patients (name them by study_instance_uid)"),
    ):
        if studies:
            click.echo(f"Left out, {why}: study {', '.join(str(study) for study in studies)}.")
    if without_answer:
        click.echo(
            f"Left out, this node has no current answer for them or more slices came since: {without_answer} label(s)."
        )
