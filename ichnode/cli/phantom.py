"""``ichnode phantom OUT``: a synthetic head CT with known truth, made by the lab in a process of its own."""

from __future__ import annotations

import click

from ichnode.cli.lab import run_lab


@click.command(context_settings={"max_content_width": 110})
@click.option("--seed", type=int, help="Decides head, bleeds and noise; default: 0.")
@click.option("--lesion", multiple=True, metavar="KIND[=ML[@HU]]",
              help="A bleed, may be repeated: epidural, intraparenchymal, intraventricular, subarachnoid, subdural; "
              "drawn from measured ones where mL or HU are left out. Default: the seed decides.")  # fmt: skip
@click.option("--no-lesion", is_flag=True, help="A head without blood.")
@click.option("--mimic", multiple=True, metavar="KIND", help="What looks like blood and is none, may be repeated; a "
              "wrong KIND is answered with the list. Default: the seed decides.")  # fmt: skip
@click.option("--slices", type=click.IntRange(1), help="Default: 32.")
@click.option("--thickness", type=float, metavar="MM", help="Default: 5.")
@click.option("--spacing", type=float, metavar="MM", help="Between slices; default: the thickness.")
@click.option("--matrix", type=click.IntRange(1), help="Pixels along each side; default: 512.")
@click.option("--tilt", type=float, metavar="DEGREES", help="Of the gantry; default: 0.")
@click.option("--kernel", type=click.Choice(["soft", "bone"]), help="Default: soft.")
@click.option("--noise", type=float, metavar="HU", help="At 5 mm; default: 3 to 5, by the seed.")
@click.option("--tags", metavar="VARIANT", help="How the values are stored; a wrong VARIANT is answered with the list. "
              "Default: 12-bit.")  # fmt: skip
@click.option(
    "--syntax", metavar="NAME", help="Transfer syntax; a wrong NAME is answered with the list. Default: explicit."
)
@click.argument("out", type=click.Path())
def command(out: str, no_lesion: bool, **given: object) -> int:
    """Make a synthetic head CT: a DICOM series in OUT/series, its truth in OUT/truth.json and OUT/masks.npz.

    The same seed is the same head. A phantom is not a patient.

    Example: ichnode phantom /tmp/head --seed 7 --lesion subdural=30 --lesion subarachnoid=4
    """
    options = ["--no-lesion"] if no_lesion else []
    for name, value in given.items():
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        options += [part for one in values for part in (f"--{name}", str(one))]
    return run_lab(["phantom", out, *options])
