"""The card for people says what card.json says."""

from pathlib import Path

from ichnode.inference.bundle import default_bundle_path, load_bundle
from ichnode.inference.card import as_markdown

from .conftest import SMALL_PICTURE, TINY, card


def test_the_document_is_the_shipped_card():
    document = Path(__file__).parents[2] / "docs" / "model-card.md"
    assert document.read_text(encoding="utf-8") == as_markdown(load_bundle(default_bundle_path()).card), (
        "docs/model-card.md is out of date: python -m ichnode_training card ichnode/inference/bundles/default "
        "--into docs/model-card.md"
    )


def test_a_card_without_figures_can_be_shown():
    text = as_markdown({**card(TINY, SMALL_PICTURE), "digest": "0" * 64})
    assert "It has learned nothing." in text
    assert "Research use only" in text
    assert "subarachnoid | 0.500" in text
