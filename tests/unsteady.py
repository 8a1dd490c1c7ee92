"""``python -m tests.unsteady``: the few tests that failed among all others, once more, alone.

Where ten real programs share two cores, one of them misses a deadline now and then. What fails alone too is wrong. What
passes alone is named, to be looked at, and does not stop everything else. More than `FEW` are no accident.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FEW = 4
FAILED = Path(".pytest_cache/v/cache/lastfailed")
"""Where pytest notes what failed; `make test` begins with it empty."""


def again(folder: Path) -> int:
    """Run the tests that failed in the project `folder` once more; return the exit code that all of it deserves."""
    noted = folder / FAILED
    failed = sorted(json.loads(noted.read_text())) if noted.is_file() else []
    if not 0 < len(failed) <= FEW:
        return 1
    print(f"\n{len(failed)} failed among all others. Alone:", flush=True)
    code = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", *failed], check=False, cwd=folder
    ).returncode
    if code == 0:
        print("UNSTEADY: passed alone, look at them:", *failed, sep="\n  ")
    return code


if __name__ == "__main__":
    sys.exit(again(Path.cwd()))
