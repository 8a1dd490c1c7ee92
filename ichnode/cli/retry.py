"""``ichnode retry``: start what failed again."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from


@click.command()
@config_option
@click.option("--all", "everything", is_flag=True, help="Everything that failed, of every study.")
@click.argument("study", required=False)
def command(config: Path | None, data: Path | None, everything: bool, study: str | None) -> int:
    """Start failed analyses, deliveries and notices of STUDY again (see `ichnode show` for what STUDY may be).

    A running node takes them up within a second; what waits is tried at once.

    Example: ichnode retry --all
    """
    if everything == (study is not None):
        raise click.UsageError("Give either STUDY or --all.")
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.worklist import deliveries, jobs, views

    node = existing_node(settings)
    with node.worklist.write() as tx:
        chosen = None
        if study is not None:
            studies = views.find_study(tx, study)
            if not studies:
                click.echo("No such study in the worklist; `ichnode worklist` lists what there is.", err=True)
                return 1
            chosen = views.series_ids(tx, studies)
        analyses = jobs.retry_jobs(tx, node.now(), chosen)
        sent = deliveries.retry_deliveries(tx, node.now(), chosen)
    click.echo(f"{analyses} analysis job(s) and {sent} deliver(y/ies) are due again.")
    return 0
