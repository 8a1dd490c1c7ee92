"""``retrain RUN`` and ``judge RUN``: what the node starts; RUN is a folder that it has prepared."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..retrain import for_the_node


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("run_folder", metavar="RUN", type=Path, help="folder with request.json and manifest.json")


def run(given: argparse.Namespace) -> int:
    """Make or judge a candidate."""
    return for_the_node(given.command, given.run_folder)
