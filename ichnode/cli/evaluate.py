"""``ichnode evaluate``: judge a model bundle on a data set, in the lab."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.lab import run_lab


@click.command(context_settings={"max_content_width": 110})
@click.option(
    "--protocol",
    type=click.Choice(["rsna", "cq500", "own"]),
    default="own",
    show_default=True,
    help="rsna: weighted log loss over slices, the paper's Table 1, and the submission file. "
    "cq500: AUC over scans, its Table 2.",
)
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the report.")
@click.option("--bundle", type=click.Path(exists=True, path_type=Path), help="Model bundle; default: the shipped.")
@click.option("--part", type=click.Choice(["train", "validation", "test", "all"]), help="Default: test, or all.")
@click.option("--rounds", type=click.IntRange(min=1), default=1000, show_default=True, help="Resamplings of patients.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.argument("planes", type=click.Path(exists=True, file_okay=False, path_type=Path))
def command(planes: Path, **given: object) -> int:
    """Judge a model bundle on the data set PLANES, which `python -m ichnode_training import` makes.

    Writes evaluation.json and report.html: AUC, sensitivity and specificity at the operating points, calibration, each
    with an interval over patients; subgroups; the worst cases as pictures. It runs in a process of its own.

    Example: ichnode evaluate --protocol cq500 --into report planes/cq500
    """
    options = [part for name, value in given.items() if value is not None for part in (f"--{name}", str(value))]
    return run_lab(["evaluate", str(planes), *options])
