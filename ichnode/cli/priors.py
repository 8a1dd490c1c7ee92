"""``ichnode priors``: the older head CTs of a patient, fetched from the archive and analysed."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.following import follow
from ichnode.cli.options import config_option, settings_from


@click.command()
@config_option
@click.option("--no-wait", is_flag=True, help="Place the order and return; the node goes on with it.")
@click.argument("study")
def command(config: Path | None, data: Path | None, no_wait: bool, study: str) -> int:
    """Fetch the older head CTs of the patient of STUDY (see `ichnode show` for what STUDY may be), and analyse them.

    A study is the same patient's where Patient ID and, as far as both say it, the birth date are equal.

    Example: ichnode priors 17
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.steps.order import place_priors
    from ichnode.worklist import views
    from ichnode.worklist.audit import terminal

    node = existing_node(settings)
    with node.worklist.read() as tx:
        found = views.find_study(tx, study)
    if len(found) != 1:
        said = "No such study" if not found else f"{len(found)} studies are called that"
        click.echo(f"{said} in the worklist; `ichnode worklist` lists what there is.", err=True)
        return 1
    order = place_priors(node, terminal(), found[0])
    click.echo(f"Order {order.id}: priors of study {found[0]}.")
    return 0 if no_wait else follow(node, order.id)
