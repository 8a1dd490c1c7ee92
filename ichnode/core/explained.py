"""Which slices of a series get a heat map, and of which class: the same wherever the series is read."""

from __future__ import annotations

from collections.abc import Sequence

from ichnode.core.findings import CLASSES, Finding

MOST_MAPS = 12
"""Heat maps of one series: more slices than that nobody looks at one by one, and each costs time."""


def explained(scores: Sequence[Sequence[float]], findings: Sequence[Finding]) -> dict[int, str]:
    """Choose the slices that get a heat map, and the class that each map explains.

    Every slice on which some class reaches its threshold, at most `MOST_MAPS`: key slices first, then the highest
    scores of `any`. The class is `any` where it reaches its threshold, else the highest of those that do.

    Parameters
    ----------
    scores : sequence of shape (slices, 6)
    findings : sequence of Finding
        One per class, in the order of `CLASSES`.

    Returns
    -------
    dict of slice index to class name, in the order of the slices; empty where nothing was found.
    """
    key = {index for finding in findings for index in finding.key_slices}
    classes: dict[int, str] = {}
    for index, row in enumerate(scores):
        over = [column for column, finding in enumerate(findings) if row[column] >= finding.threshold]
        if over:
            classes[index] = CLASSES[0 if over[0] == 0 else max(over, key=lambda column: row[column])]
    chosen = sorted(classes, key=lambda index: (index not in key, -scores[index][0]))[:MOST_MAPS]
    return {index: classes[index] for index in sorted(chosen)}
