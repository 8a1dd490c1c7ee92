"""``make soak``, or ``python -m benchmarks.soak``: live through the day, print what held, write the page."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from .run import Told, run


@click.command()
@click.option("--studies", type=click.IntRange(6), default=400, show_default=True, help="Studies of the day.")
@click.option("--minutes", type=click.FloatRange(0.1), default=40.0, show_default=True, help="How long the day takes.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides who sends what when, what goes wrong.")
@click.option(
    "--bundle", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Model bundle; the one that ships."
)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default=Path("build"), show_default=True,
    help="Disk to work on; some gigabytes are written below it and removed.",
)  # fmt: skip
@click.option(
    "--into", type=click.Path(dir_okay=False, path_type=Path), default=Path("build/soak.html"), show_default=True
)
def main(studies: int, minutes: float, seed: int, bundle: Path | None, folder: Path, into: Path) -> None:
    """A day of a busy hospital; the exit code is 1 when something did not hold."""
    from .page import page

    folder.mkdir(parents=True, exist_ok=True)
    command = f"python -m benchmarks.soak --studies {studies} --minutes {minutes:g} --seed {seed}"
    day_s = 60 * minutes
    with tempfile.TemporaryDirectory(dir=folder, prefix="soak-") as scratch:
        told = run(Path(scratch).resolve(), studies, day_s, seed, bundle, lambda line: click.echo(line, err=True))
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text(page(told, command))
    sys.exit(show(told, into))


def show(told: Told, into: Path) -> int:
    """Print what held; return the exit code."""
    for proof in told.proofs:
        mark = {True: "held", False: "DID NOT HOLD", None: "too short to say"}[proof.held]
        click.echo(f"{proof.name}: {mark} ({proof.why})")
    click.echo(f"The page with the pictures: {into}")
    return int(any(proof.held is False for proof in told.proofs))


if __name__ == "__main__":
    main()
