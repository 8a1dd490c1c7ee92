"""``ichnode explain PATH``: what the node would do with it, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ichnode.cli.options import config_option, settings_from

if TYPE_CHECKING:
    from ichnode.steps.explain import Explanation


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def command(config: Path | None, data: Path | None, as_json: bool, path: Path) -> int:
    """Say for every series below PATH whether the node would analyse it, and why. Nothing is stored or sent.

    Example: ichnode explain /media/cd
    """
    settings = settings_from(config, data)
    from ichnode.core.eligibility import SelectionPolicy
    from ichnode.steps.explain import explain

    limits = settings.selection
    explanation = explain(path, SelectionPolicy(min_slices=limits.min_slices, min_extent_mm=limits.min_extent_mm))
    if as_json:
        click.echo(json.dumps(_plain(explanation), indent=2))
    else:
        _print(explanation)
    return 0 if explanation.series else 1


def _plain(explanation: Explanation) -> dict[str, Any]:
    from ichnode.steps.explain import in_words

    return {
        "series": [in_words(s) for s in explanation.series],
        "unread": [{"file": str(file), "code": why.code, "sentence": why.sentence} for file, why in explanation.unread],
    }


def _print(explanation: Explanation) -> None:
    from ichnode.steps.explain import in_words

    for series in explanation.series:
        facts = in_words(series)
        click.echo(f"Series {facts['series_instance_uid']} ({facts['description'] or 'no description'})")
        spacing = "unknown" if facts["spacing_mm"] is None else f"{facts['spacing_mm']} mm"
        click.echo(
            f"  {facts['slices']} slices, {facts['extent_mm']} mm, spacing {spacing}, tilt {facts['tilt_deg']} degrees"
        )
        if series.reason:
            click.echo(f"  would not be analysed: {series.reason.code}: {series.reason.sentence}")
        else:
            click.echo("  would be analysed")
        for warning in facts["warnings"]:
            click.echo(f"  warning {warning['code']}: {warning['sentence']}")
    for file, why in explanation.unread:
        click.echo(f"{file}: {why.code}: {why.sentence}")
    if not explanation.series:
        click.echo("No DICOM image was found.", err=True)
