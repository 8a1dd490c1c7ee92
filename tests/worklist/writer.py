"""A process that records receipts: ``python -m tests.worklist.writer URL SEED SLICES``; the series is everybody's."""

from __future__ import annotations

import sys

from ichnode.worklist.database import Worklist
from tests.made import NOON, head_slices, take

if __name__ == "__main__":
    url, seed, number = sys.argv[1:]
    worklist = Worklist(url)
    take(worklist, head_slices(int(number), seed=seed), NOON)
    worklist.dispose()
