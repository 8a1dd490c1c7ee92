"""The evaluation as one HTML file: nothing is fetched, everything is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ichnode.core.findings import CLASSES

from . import curves
from .protocol import Protocol, with_interval
from .subgroups import LEAST_PATIENTS
from .worst import Wrong

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1b1b1b;background:#fff;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid #ddd}
h3{font-size:1rem;margin:.6rem 0 .2rem}p.use{background:#fff3cd;border:1px solid #e0c36a;padding:.5rem .8rem}
table{border-collapse:collapse;margin:.5rem 0 1rem;font-size:.88rem}
td,th{padding:.25rem .6rem;border-bottom:1px solid #e2e2e2;text-align:right;white-space:nowrap;
  font-variant-numeric:tabular-nums}
td:first-child,th:first-child{text-align:left}
table.facts td{text-align:left;white-space:normal;overflow-wrap:anywhere}
tr.ours td{font-weight:600;background:#eef5fb}
svg text{font:11px system-ui,sans-serif;fill:#333}.row{display:flex;flex-wrap:wrap;gap:1.4rem}
figure{margin:0;width:240px}figure img{width:240px;background:#000;display:block}
figcaption{font-size:.78rem;overflow-wrap:anywhere}.note{color:#555;font-size:.85rem}
"""


def page(
    facts: Mapping[str, str], figures: Mapping[str, Any], protocol: Protocol, wrong: Sequence[Wrong]
) -> str:  # fmt: skip
    """Return the page.

    Parameters
    ----------
    facts : mapping
        What was judged on what, in words: model, data, digests.
    figures : mapping
        From `ichnode_training.assessment.assess`.
    """
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Evaluation</title>',
            '<meta name="viewport" content="width=device-width">',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(protocol.title)}</h1>",
            '<p class="use">Research use only. Not a medical device. What was measured on one set of patients '
            "says little about another.</p>",
            _table(("", ""), [(name, value) for name, value in facts.items()], kind="facts"),
            f"<p class=note>{figures['scans']} scans of {figures['patients']} patients, {figures['slices']} slices. In "
            f"parentheses the 95 % interval over {figures['rounds']} resamplings of the patients.</p>",
            *_published(figures, protocol),
            *(part for level in ("scan", "slice") for part in _level(level, figures)),
            *_subgroups(figures),
            *_worst(wrong),
            "</body></html>\n",
        )
    )


def _published(figures: Mapping[str, Any], protocol: Protocol) -> Iterator[str]:
    rows = [(name, *(value or "–" for value in values)) for name, values in protocol.published.items()]
    yield "<h2>The table</h2>"
    yield _table(("", *protocol.columns), rows, ours=("this model", *protocol.ours(figures)))
    if protocol.note:
        yield f"<p class=note>{escape(protocol.note)}</p>"


def _level(level: str, figures: Mapping[str, Any]) -> Iterator[str]:
    classes: Mapping[str, Any] = figures[level]
    if not any(row["known"] for row in classes.values()):
        return
    yield f"<h2>By {level}</h2>"
    if level == "slice" and figures["log_loss"]:
        yield f"<p>Weighted log loss {with_interval(figures['log_loss'], 5)}</p>"
    yield _table(
        ("class", "labelled", "positive", "AUC", "threshold", "sensitivity", "specificity", "ECE"),
        [
            (
                name, str(row["known"]), str(row["positive"]), with_interval(row["auc"]),
                f"{figures['thresholds'][name]:.3f}", *(with_interval(row[f]) for f in ("sensitivity", "specificity")),
                with_interval(row["ece"]),
            )
            for name, row in classes.items()
        ],
    )  # fmt: skip
    roc = {name: (row["roc"], f"{row['auc']['value']:.3f}") for name, row in classes.items() if row["roc"]}
    any_row = classes[CLASSES[0]]
    yield '<div class="row">'
    if roc:
        yield f"<div><h3>ROC, with the AUC</h3>{curves.roc(roc)}</div>"
    if any_row["reliability"]:
        ece = f"any, ECE {any_row['ece']['value']:.3f}" if any_row["ece"] else "any"
        yield f"<div><h3>Calibration</h3>{curves.reliability(any_row['reliability'], ece)}</div>"
    yield f"<div><h3>At the thresholds</h3>{_confusion(classes)}</div></div>"


def _confusion(classes: Mapping[str, Any]) -> str:
    names = ("true_positive", "false_negative", "false_positive", "true_negative")
    return _table(
        ("class", "found", "missed", "false alarm", "rightly none"),
        [(name, *(str(row["confusion"][n]) for n in names)) for name, row in classes.items()],
    )


def _subgroups(figures: Mapping[str, Any]) -> Iterator[str]:
    tables: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for row in figures["subgroups"]:
        tables.setdefault((row["class"], row["level"]), []).append(
            (f"{row['kind']}: {row['name']}", str(row["scans"]), str(row["known"]), str(row["positive"]),
             str(row["patients_positive"]),
             *(with_interval(row[name]) for name in ("auc", "sensitivity", "specificity")))
        )  # fmt: skip
    yield "<h2>Subgroups</h2>"
    yield (
        f"<p class=note>A figure needs {LEAST_PATIENTS} patients with the class, without it, or both; of the subtypes "
        "only groups that have one are shown. A volume group is its positive scans, or their positive slices, against "
        "all negative ones.</p>"
    )
    for (name, level), rows in tables.items():
        yield f"<h3>{escape(name)}, by {level}</h3>"
        head = ("", "scans", f"{level}s labelled", "positive", "patients with it", "AUC", "sensitivity", "specificity")
        yield _table(head, rows)


def _worst(wrong: Sequence[Wrong]) -> Iterator[str]:
    for positive, title in (
        (True, "Bleeding scans with the lowest scores"),
        (False, "False alarms, the highest first"),
    ):
        those = [one for one in wrong if one.positive is positive]
        if those:
            yield f'<h2>{title}</h2><div class="row">'
            for one in those:
                alt = f"slice {one.slice} of {one.of}"
                yield (
                    f'<figure><img alt="{alt}" src="data:image/png;base64,{one.png}">'
                    f"<figcaption><b>{one.score:.3f}</b> {escape(one.scan)}, {alt} ({escape(one.why_this)})"
                    "</figcaption></figure>"
                )
            yield "</div>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], ours: Sequence[str] = (), kind: str = "") -> str:
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    if ours:
        body += f'<tr class="ours">{"".join(f"<td>{escape(cell)}</td>" for cell in ours)}</tr>'
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head) if any(head) else ""
    return f'<table class="{kind}"><tr>{top}</tr>{body}</table>'
