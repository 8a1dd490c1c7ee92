"""``ichnode export``: de-identified studies with their labels, to take elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from


@click.command()
@config_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--all", "everything", is_flag=True, help="Every study with an analysed series.")
@click.option("--dates", type=click.Choice(["move", "remove"]), default="move", show_default=True,
              help="move: by the same number of days for all of a patient. remove: none is kept.")  # fmt: skip
@click.option("--characteristics", is_flag=True, help="Keep Patient's Sex and Age (over 89: 090Y).")
@click.option("--device", is_flag=True, help="Keep Station Name, Device Serial Number, Software Versions.")
@click.option("--descriptors", is_flag=True, help="Keep harmless words of the study and series descriptions.")
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path),
              help="Secret key of the pseudonyms; default: export.key in the data folder.")  # fmt: skip
@click.option("--outcomes", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV of report outcomes (retrain.outcomes): those of exported studies go into labels.csv.")  # fmt: skip # noqa: E501
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
def command(
    config: Path | None, data: Path | None, out: Path, everything: bool, dates: str, characteristics: bool,
    device: bool, descriptors: bool, key: Path | None, outcomes: Path | None, studies: tuple[str, ...],
) -> int:  # fmt: skip
    """Write the analysed series of STUDY (see `ichnode show` for what STUDY may be) de-identified by PS3.15 Annex E.

    Only what a reader of the pixels needs is kept; patient and UIDs get pseudonyms that are the same in every export
    with the same key. What readers said stands in labels.csv, which `python -m ichnode_training import folder` takes,
    and what reports said, where --outcomes is given.
    Text burned into pixels is not searched for, and faces are not removed.

    Example: ichnode export --all --out export
    """
    settings = settings_from(config, data)
    from rich.console import Console
    from rich.progress import Progress

    from ichnode.dicom.deidentified import Options
    from ichnode.errors import PermanentError
    from ichnode.steps.export import check_stays, export, export_key
    from ichnode.steps.node import existing_node
    from ichnode.worklist import views

    if bool(studies) == everything:
        raise click.UsageError("Name studies, or say --all.")
    check_stays(out, key, outcomes)
    node = existing_node(settings)
    with node.worklist.read() as tx:
        found = {text: views.find_study(tx, text) for text in studies}
        chosen = views.study_ids(tx) if everything else [one for ids in found.values() for one in ids]
    if not all(found.values()):
        click.echo("No such study in the worklist; `ichnode worklist` lists what there is.", err=True)
        return 1
    options = Options(dates == "move", characteristics, device, descriptors)
    try:
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("series", total=None)
            done = export(
                node, chosen, out, export_key(node, key), options,
                lambda ready, of: progress.update(task, completed=ready, total=of), outcomes,
            )  # fmt: skip
    except OSError as error:
        raise PermanentError(f"{error.filename or out}: {error.strerror}. Take another --out, or make room.") from error
    click.echo(f"{done.files} objects of {done.series} series, {done.labels} lines of labels: {out}")
    if done.outcomes.elsewhere:
        click.echo(f"{done.outcomes.elsewhere} outcomes are of studies of which nothing is in the export.", err=True)
    if done.outcomes.shared:
        click.echo(f"{done.outcomes.shared} outcomes were left out: several patients have their accession number. "
                   "Name these studies by study_instance_uid.", err=True)  # fmt: skip
    for study, why in done.refused:
        click.echo(f"left out of study {study}: {why}", err=True)
    if done.series < done.analysed:
        click.echo(f"Nothing is in the export of {done.analysed - done.series} of {done.analysed} series.", err=True)
    if not done.analysed:
        click.echo("No series of these was analysed.", err=True)
    return 1 if done.refused or not done.series else 0
