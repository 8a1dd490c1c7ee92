"""``ichnode analyse PATH``: scores and a Structured Report file, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ichnode.cli.options import config_option, settings_from

if TYPE_CHECKING:
    from ichnode.steps.analyse_path import AnalysedSeries


@click.command()
@config_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("ichnode-results"),
    show_default=True,
    help="Folder for the SR files.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def command(config: Path | None, data: Path | None, out: Path, as_json: bool, path: Path) -> int:
    """Analyse the head CT below PATH: scores on the terminal, one SR file a series in the output folder.

    Example: ichnode analyse /media/cd --out results
    """
    settings = settings_from(config, data)
    from rich.console import Console

    from ichnode.steps.analyse_path import analyse_path

    console = Console(stderr=True)
    with console.status("reading headers") as status:
        analysed = analyse_path(settings, path, out, status.update)
    if as_json:
        click.echo(json.dumps([_plain(a) for a in analysed], indent=2))
    else:
        for one in analysed:
            _print(one)
    if not analysed:
        click.echo("No DICOM image was found.", err=True)
    return 0 if any(a.outcome.findings for a in analysed) else 1


def _plain(one: AnalysedSeries) -> dict[str, Any]:
    outcome = one.outcome
    return {
        "series_instance_uid": one.series.study.series_instance_uid,
        "verdict": str(outcome.verdict),
        "code": outcome.reason.code if outcome.reason else None,
        "sentence": outcome.reason.sentence if outcome.reason else None,
        "findings": [
            {"name": f.name, "score": round(f.score, 5), "threshold": f.threshold, "present": f.present}
            for f in outcome.findings
        ],
        "slices": [
            {"sop_instance_uid": uid, "frame": frame, "scores": [round(score, 5) for score in row]}
            for (uid, frame), row in zip(outcome.order, outcome.scores, strict=True)
        ],
        "warnings": [{"code": w.code, "sentence": w.sentence} for w in outcome.warnings],
        "report": str(one.report),
        "use": "research use only",
    }


def _print(one: AnalysedSeries) -> None:
    from ichnode.reporting.sentences import describe

    click.echo(f"Series {one.series.study.series_instance_uid}")
    for sentence in describe(one.outcome, one.model):
        click.echo(f"  {sentence}")
    click.echo(f"  report {one.report}")
