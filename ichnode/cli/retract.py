"""``ichnode retract``: take back a result that is wrong, at every destination that has it."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from


@click.command()
@config_option
@click.option(
    "--because",
    type=click.Choice(["wrong-result", "wrong-patient"]),
    required=True,
    help="wrong-result: the current answer is wrong. wrong-patient: the images are another patient's; "
    "every answer ever sent is taken back.",
)
@click.option("--remark", default="", help="A sentence for the reader of the rejection note; no patient's name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("study")
def command(config: Path | None, data: Path | None, because: str, remark: str, yes: bool, study: str) -> int:
    """Take back the results of STUDY (see `ichnode show` for what STUDY may be; a Series Instance UID is one series).

    Each destination that has them gets an IOCM rejection note (a Key Object Selection), by which an archive hides them;
    what was not yet sent is withdrawn. The result stays in the worklist, marked as retracted.

    Example: ichnode retract 3 --because wrong-patient --remark "Mixed up at the scanner."
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.worklist import audit, retractions, views

    node = existing_node(settings)
    with node.worklist.read() as tx:
        chosen = views.find_series(tx, study)
    if not chosen:
        click.echo("No such study in the worklist; `ichnode worklist` lists what there is.", err=True)
        return 1
    if not yes:
        click.confirm(f"Take back the results of {len(chosen)} series?", abort=True)
    with node.worklist.write() as tx:
        taken = retractions.retract(tx, node.now(), chosen, because, remark)
        for study_id in views.studies_of(tx, chosen) if taken else ():
            audit.record(tx, node.now(), audit.terminal().name, "study.retracted", study_id, because=because)
    if not taken:
        click.echo("There is no result to take back: nothing was answered, or it was taken back before.", err=True)
        return 1
    click.echo(f"{taken} result(s) taken back. A running node tells its destinations now, else at its next start.")
    return 0
