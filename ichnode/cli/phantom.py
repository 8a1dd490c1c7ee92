"""``ichnode phantom OUT``: a synthetic head CT with known truth, made by the lab in a process of its own."""

from __future__ import annotations

import click

from ichnode.cli.lab import run_lab


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("out", type=click.Path())
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(out: str, options: tuple[str, ...]) -> int:
    """Make a synthetic head CT: a DICOM series in OUT/series, its truth in OUT/truth.json and OUT/masks.npz.

    OPTIONS are those of `python -m ichnode_training phantom --help`: --seed, --lesion KIND=ML (may be repeated),
    --no-lesion, --mimic, --slices, --thickness, --tilt, --kernel, --tags, --syntax and more.
    A phantom is not a patient.

    Example: ichnode phantom /tmp/head --seed 7 --lesion subdural=30 --lesion subarachnoid=4
    """
    return run_lab(["phantom", out, *options])
