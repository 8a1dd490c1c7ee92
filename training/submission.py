"""The competition's submission file: six lines an image."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ichnode.core.findings import CLASSES

from .assessment import Judged

_LEAST = 1e-7


def write_submission(path: Path, judged: Sequence[Judged]) -> int:
    """Write ``ID,Label`` for every image and return how many there were.

    An image that lies where another one does, and was therefore not read, has that one's scores. Scores keep off 0 and
    1, where the competition's loss is infinite.
    """
    images = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("ID", "Label"))
        for one in judged:
            for name, index in (*zip(one.scan.instances, range(len(one.scores)), strict=True), *one.scan.duplicates):
                images += 1
                for column, subtype in enumerate(CLASSES):
                    score = min(max(float(one.scores[index, column]), _LEAST), 1 - _LEAST)
                    lines.writerow((f"{name}_{subtype}", f"{score:.7f}"))
    return images
