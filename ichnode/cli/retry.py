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
    """Start failed analyses, deliveries, notices and retrievals of STUDY again (see `ichnode show` for what it may be).

    A running node takes them up within a second; what waits is tried at once. Of a study that never came, STUDY is its
    Study Instance UID.

    Example: ichnode retry --all
    """
    if everything == (study is not None):
        raise click.UsageError("Give either STUDY or --all.")
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.worklist import audit, deliveries, jobs, retrievals, views

    node = existing_node(settings)
    with node.worklist.write() as tx:
        chosen = uids = None
        if study is not None:
            studies = views.find_study(tx, study)
            chosen = views.series_ids(tx, studies)
            uids = [*views.study_uids(tx, studies), study]
        analyses = jobs.retry_jobs(tx, node.now(), chosen)
        sent = deliveries.retry_deliveries(tx, node.now(), chosen)
        fetched = retrievals.retry(tx, node.now(), uids)
        if study is not None and not studies and not fetched:
            click.echo("No such study in the worklist; `ichnode worklist` lists what there is.", err=True)
            return 1
        concerned: list[int | None] = [None] if study is None or not studies else [*studies]
        for study_id in concerned:
            audit.record(
                tx, node.now(), audit.terminal().name, "node.retried", study_id,
                analyses=analyses, deliveries=sent, retrievals=fetched,
            )  # fmt: skip
    click.echo(
        f"{analyses} analysis job(s) and {sent} deliver(y/ies) are due again"
        + (f", and {fetched} series to be fetched." if fetched else ".")
    )
    return 0
