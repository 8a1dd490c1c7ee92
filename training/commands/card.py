"""``card BUNDLE --into FILE``: write a bundle's card for people."""

from __future__ import annotations

import argparse
from pathlib import Path

from ichnode.inference.bundle import load_bundle
from ichnode.inference.card import as_markdown


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("bundle", type=Path)
    command.add_argument("--into", type=Path, required=True, help="the Markdown file")


def run(given: argparse.Namespace) -> int:
    """Write the card."""
    given.into.write_text(as_markdown(load_bundle(given.bundle).card), encoding="utf-8")
    return 0
