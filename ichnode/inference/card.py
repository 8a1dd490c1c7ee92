"""A bundle's card for people: the facts of ``card.json``, in Markdown, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def as_markdown(card: Mapping[str, Any]) -> str:
    """Return the card as a Markdown document."""
    blocks = [
        f"# {card['name']}, version {card['version']}",
        f"**{card['intended_use']}**",
        f"Digest `{card['digest']}`.",
        "## What it is not",
        _list(card["is_not"]),
        "## Limitations",
        _list(card["limitations"]),
        "## Training data",
        _list(f"{d['name']} ({d['licence']}): {d['use']}. {d['citation']}." for d in card["training_data"]),
        "## Measured",
        _measured(card["metrics"]),
        *_provenance(card),
        "## Operating points",
        _table(("class", "threshold"), [(name, f"{value:.3f}") for name, value in card["thresholds"].items()]),
        "## Network and preprocessing",
        _list(
            f"{key}: {_plain(value)}" for part in ("architecture", "preprocessing") for key, value in card[part].items()
        ),
    ]
    return "\n\n".join(blocks) + "\n"


def _measured(metrics: Mapping[str, Any]) -> str:
    if "classes" not in metrics:
        return _list(f"{key}: {_plain(value)}" for key, value in metrics.items())
    rows = [
        (
            name,
            f"{row['positive_slices']} / {row['positive_patients']}",
            _figure(row["slice_auc"]) if "slice_auc" in row else row["note"],
            _figure(row["scan_auc"]) if "scan_auc" in row else row["note"],
        )
        for name, row in metrics["classes"].items()
    ]
    point, baseline = metrics["operating_point"], metrics["baseline"]
    return "\n\n".join(
        (
            f"{metrics['patients']} patients, {metrics['slices']} slices. {metrics['how']}.",
            _table(("class", "positive slices / patients", "slice AUC", "scan AUC"), rows),
            f"Scan verdict at the thresholds below: sensitivity {_figure(point['sensitivity'])}, "
            f"specificity {_figure(point['specificity'])}.",
            f"For comparison, {baseline['method']}: slice AUC {baseline['slice_auc_any']}, "
            f"scan AUC {baseline['scan_auc_any']} for any haemorrhage.",
        )
    )


def _provenance(card: Mapping[str, Any]) -> list[str]:
    """Return how a retrained model came about; nothing for others."""
    if "provenance" not in card:
        return []
    return ["## How it came about", _list(f"{key}: {_plain(value)}" for key, value in card["provenance"].items())]


def _figure(row: Mapping[str, float]) -> str:
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return "; ".join(_plain(part) for part in value)
    return str(value)


def _list(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
