"""``ichnode send``: send DICOM files by C-STORE or STOW-RS."""

from __future__ import annotations

from pathlib import Path

import click

from ichnode.cli.options import config_option, settings_from


@click.command()
@config_option
@click.option("--to", "target", help="AET@HOST:PORT instead of a configured destination.")
@click.option("--destination", help="Name of a configured destination.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def command(
    config: Path | None, data: Path | None, target: str | None, destination: str | None, path: Path
) -> int:  # fmt: skip
    """Send every DICOM file below PATH: by C-STORE, on one association, or by STOW-RS where the destination has a url.

    Example: ichnode send --to ICHAI@127.0.0.1:11112 /media/cd
    """
    settings = settings_from(config, data)
    from rich.console import Console
    from rich.progress import Progress

    from ichnode.cli.remotes import remotes_from
    from ichnode.dicom.destination import give
    from ichnode.dicom.header import parse_file
    from ichnode.errors import BadObject
    from ichnode.steps.explain import files_below

    files, skipped = [], 0
    for file in files_below(path):
        try:
            parse_file(file)
        except BadObject:
            skipped += 1
        else:
            files.append(file)
    if not files:
        click.echo("No DICOM file was found.", err=True)
        return 1
    refused = 0
    for remote in remotes_from(settings, destination, target):
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(f"to {remote.name}", total=len(files))
            answers = give(remote, files, lambda _path, _status, bar=bar: progress.advance(bar))  # type: ignore[misc]
        bad = [a for a in answers if a.error is not None]
        refused += len(bad)
        click.echo(f"{remote.name}: {len(answers) - len(bad)} of {len(files)} files stored, {skipped} not DICOM")
        for sentence in sorted({a.error for a in bad if a.error}):
            click.echo(f"  {sentence}", err=True)
    return 1 if refused else 0
