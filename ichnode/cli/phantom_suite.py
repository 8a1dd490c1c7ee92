"""``ichnode phantom-suite``: what a model bundle finds on heads whose truth is known, in the lab."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.lab import run_lab


@click.command(context_settings={"max_content_width": 110})
@click.option("--bundle", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Model bundle; default: the shipped.")  # fmt: skip
@click.option("--size", type=click.Choice(["small", "full"]), default="small", show_default=True,
              help="small: 13 heads, each with blood and without; full: 108.")  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda:0.")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), default=Path("phantom-suite"),
              show_default=True, help="Folder of suite.json and suite.svg.")  # fmt: skip
def command(**given: object) -> int:
    """Measure a model bundle on phantoms: a ladder of volumes and densities for each kind of bleed, with mimics.

    Prints a table and writes suite.json and suite.svg. All bundles read the same heads. Phantoms are not patients.

    Example: ichnode phantom-suite --size small --into suite
    """
    options = [part for name, value in given.items() if value is not None for part in (f"--{name}", str(value))]
    return run_lab(["phantom-suite", *options])
