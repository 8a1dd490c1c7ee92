"""``make demo``: two synthetic head CTs through a real node and back as Structured Reports. Research use only.

Everything runs on this machine and on loopback: a receiving PACS, the node (``ichnode serve``), and a sender. What is
made is kept in a folder for a look afterwards.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import tomli_w
from pydicom import dcmread
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ichnode.dicom.scu import Remote, store
from ichnode.errors import IchnodeError
from ichnode.reporting.text import render_text

from .phantom import Phantom, make_head
from .phantom_dicom import write_dicom
from .receiving_pacs import ReceivingPacs
from .served_node import ICHNODE, ServedNode

AET, PACS_AET, SENDER_AET = "ICHAI", "DEMOPACS", "DEMOSCANNER"
_MARK = ".ichnode-demo"


@dataclass(frozen=True)
class DemoHead:
    """One synthetic head: what is true of it, and its DICOM files."""

    name: str
    accession: str
    phantom: Phantom
    files: tuple[Path, ...]
    study_uid: str

    @property
    def truth(self) -> str:
        """What it was made with, in words."""
        bleeds = [f"{kind} haemorrhage of {volume:.0f} mL" for kind, volume in self.phantom.volumes_ml.items()]
        return " and ".join(bleeds) or "no haemorrhage"


def make_heads(folder: Path, matrix: int) -> list[DemoHead]:
    """Make one head with a haemorrhage and one without, as DICOM files under `folder`."""
    recipes: list[tuple[str, int, dict[str, float]]] = [
        ("with-bleed", 22, {"intraparenchymal": 35.0, "intraventricular": 6.0}),
        ("without-bleed", 40, {}),
    ]
    heads = []
    for number, (name, seed, volumes) in enumerate(recipes, start=1):
        phantom = make_head(seed, tuple(volumes), matrix=matrix, volumes_ml=volumes)
        accession = f"DEMO{number:04d}"
        who, files_in = f"PHANTOM^{name.upper()}", folder / name
        files = write_dicom(phantom, files_in, patient_name=who, patient_id=f"DEMO-{number}", accession=accession)
        study_uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        heads.append(DemoHead(name, accession, phantom, tuple(files), study_uid))
    return heads


def write_config(folder: Path, pacs_port: int) -> Path:
    """Write the node's configuration: a free port, a data folder of its own, the demo's PACS as destination."""
    config = {
        "node": {"aet": AET, "host": "127.0.0.1", "port": 0, "data": str((folder / "node").resolve())},
        "destinations": [{"name": "demo-pacs", "aet": PACS_AET, "host": "127.0.0.1", "port": pacs_port}],
    }
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(config))
    return path


def send(heads: list[DemoHead], port: int, console: Console) -> None:
    """Send both heads by C-STORE, one association each, and show how far it is."""
    remote = Remote("the demo node", AET, "127.0.0.1", port, SENDER_AET)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as progress:  # fmt: skip
        for head in heads:
            bar = progress.add_task(f"C-STORE {head.name}", total=len(head.files))
            answers = store(remote, head.files, lambda _path, _status, bar=bar: progress.advance(bar))  # type: ignore[misc]
            if refused := [answer for answer in answers if answer.error]:
                raise click.ClickException(f"the node refused {len(refused)} slices: {refused[0].error}")


def wait_for_reports(
    heads: list[DemoHead], pacs: ReceivingPacs, node: ServedNode, timeout_s: float, console: Console
) -> dict[str, Path]:
    """Wait until a report of each head has come, at most `timeout_s`; return what came, by accession number."""
    reports: dict[str, Path] = {}
    end = time.monotonic() + timeout_s
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as progress:
        bars = {head.accession: progress.add_task(f"waiting for the report on {head.name}", total=1) for head in heads}
        while len(reports) < len(heads) and time.monotonic() < end and not node.ended:
            for head in heads:
                if head.accession not in reports and (came := pacs.wait_for(head.study_uid, 0.2)):
                    reports[head.accession] = came[0]
                    progress.update(
                        bars[head.accession], completed=1, description=f"report on {head.name} is in the PACS"
                    )
    return reports


def verdicts(config: Path) -> dict[str, dict[str, Any]]:
    """Return the node's worklist, by accession number."""
    done = subprocess.run(
        [*ICHNODE, "worklist", "--json", "--config", str(config)], capture_output=True, text=True, check=True
    )
    return {row["accession_number"]: row for row in json.loads(done.stdout)}


def show(heads: list[DemoHead], reports: dict[str, Path], config: Path, console: Console) -> None:
    """Print the worklist, the reports, and what the model said beside what is true."""
    subprocess.run([*ICHNODE, "worklist", "--config", str(config)], check=True)
    for head in heads:
        if head.accession in reports:
            console.rule(f"Structured Report on {head.name}")
            console.print(escape(render_text(reports[head.accession])), highlight=False, soft_wrap=True)
    console.rule("What is true, and what the model said")
    said = verdicts(config)
    for head in heads:
        row = said.get(head.accession)
        verdict = row["verdict"].replace("_", " ") if row else "nothing"
        score = f" (score {row['any_score']:.2f})" if row and row["any_score"] is not None else ""
        right = row is not None and row["verdict"] == ("positive" if head.phantom.lesions else "negative")
        judged = "right" if right else "wrong"
        console.print(f"{head.name}: made with {head.truth}. The model said: {verdict}{score}, which is {judged}.")
    console.print(
        "\nA phantom is not a patient: right or wrong on two synthetic heads says nothing about real ones.\n"
        "The model that ships is a demonstration model. Research use only, not for diagnosis.\n"
    )


def _clear(folder: Path) -> None:
    """Make `folder` new; refuse to touch one that no demo made."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).exists():
            raise click.ClickException(f"{folder} has files that no demo made: choose another --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where everything is kept; an earlier demo there is replaced.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1),
    default=300.0,
    show_default=True,
    help="Seconds to wait for both reports.",
)
@click.option(
    "--matrix", type=click.IntRange(64, 1024), default=512, show_default=True, help="Pixels along each side of a slice."
)
def main(folder: Path, timeout_s: float, matrix: int) -> None:  # fmt: skip
    """Send two synthetic head CTs through a node and show what comes back.

    Example: python -m ichnode_training.demo --folder /tmp/demo
    """
    console = Console()
    _clear(folder)
    console.print("ichnode demo: research use only, not for diagnosis\n")
    with console.status("making two synthetic heads"):
        heads = make_heads(folder / "heads", matrix)
    for head in heads:
        console.print(f"{head.name}: {len(head.files)} slices, {head.truth}")
    with ReceivingPacs(folder / "pacs", PACS_AET) as pacs:
        config = write_config(folder, pacs.port)
        with ServedNode(config, folder / "node.log") as node:
            try:
                with console.status("starting the node"):
                    port = node.port(60)
                console.print(f"node {AET} on 127.0.0.1:{port}, receiving PACS {PACS_AET} on 127.0.0.1:{pacs.port}")
                send(heads, port, console)
            except IchnodeError as error:
                raise click.ClickException(error.sentence) from error
            reports = wait_for_reports(heads, pacs, node, timeout_s, console)
            last_words = node.last_words()
    show(heads, reports, config, console)
    console.print(f"head CTs   {folder / 'heads'}")
    console.print(f"reports    {folder / 'pacs'}")
    console.print(f"worklist   ichnode worklist --config {config}")
    console.print(f"node log   {folder / 'node.log'}")
    if len(reports) < len(heads):
        raise click.ClickException(
            f"{len(heads) - len(reports)} of {len(heads)} reports did not come within {timeout_s:g} s. "
            f"The node's log ends with:\n{last_words}"
        )


if __name__ == "__main__":
    main()
