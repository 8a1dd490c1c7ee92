"""``authors CHECKPOINT --out BUNDLE``: make a bundle of a checkpoint of Nguyen et al."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import write_bundle
from ichnode.inference.network import CnnLstm, load_state

from ..authors import architecture_of, from_authors, is_theirs, preprocessing_of
from ..initial import read_weights
from ..start import StartError
from ..telling import say


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("checkpoint", type=Path, help="ResNet-50 or SE-ResNeXt-50, as published")
    command.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    command.add_argument("--channel-order", choices=("rgb", "bgr"), default="rgb", help="whether their first channel "
                         "was brain or bone: nobody published it, try both and keep the lower loss")  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Translate, check the shapes, write."""
    weights = read_weights(given.checkpoint)
    if not is_theirs(weights):
        raise StartError(f"{given.checkpoint} has not the names of the authors' checkpoints.")
    architecture, preprocessing = architecture_of(weights), preprocessing_of(given.channel_order)
    network = CnnLstm.build(architecture)
    try:
        load_state(network, from_authors(weights))
    except RuntimeError as error:
        raise StartError(f"{given.checkpoint} does not fit {architecture.backbone}: {error}") from error
    card = {
        "name": f"Nguyen et al. 2020, {architecture.backbone}, {given.channel_order}",
        "version": "1",
        "intended_use": "Research use only. The paper's published weights; trained on data for non-commercial use.",
        "architecture": asdict(architecture),
        "preprocessing": preprocessing.as_json(),
        "thresholds": dict.fromkeys(CLASSES, 0.5),
        "training_data": [
            {
                "name": "RSNA Intracranial Hemorrhage Detection 2019, stage 1",
                "citation": "Nguyen N. T. et al., A CNN-LSTM architecture for detection of intracranial hemorrhage on "
                "CT scans, MIDL 2020",
                "licence": "non-commercial use only",
                "use": "as published by the authors",
            }
        ],
        "metrics": {"how": "not measured here"},
        "limitations": [
            "Their pictures were JPEG, ours are lossless: scores differ a little.",
            f"The order of the channels is a guess ({given.channel_order}); thresholds are not chosen.",
        ],
        "is_not": ["Not a medical device.", "Not for diagnosis, triage or any decision about a patient."],
    }  # fmt: skip
    bundle = write_bundle(given.out, card, network.state_dict())
    say(f"{bundle.folder}: {bundle.digest}")
    return 0
