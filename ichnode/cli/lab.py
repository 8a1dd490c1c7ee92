"""The lab as a child process: the node never imports it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from ichnode.errors import PermanentError

_EXTRA = ("ichnode_training", "scipy", "nilearn", "matplotlib")
"""What the extra brings, by import name."""


def run_lab(arguments: Sequence[str]) -> int:
    """Run ``python -m ichnode_training`` with these arguments, on this terminal, and return its exit code.

    Raises
    ------
    PermanentError
        The lab's packages are not installed.
    """
    if missing := [name for name in _EXTRA if find_spec(name) is None]:
        raise PermanentError(
            f"This needs the lab, which is not installed ({', '.join(missing)} missing): pip install 'ichnode[lab]'"
        )
    return subprocess.run([sys.executable, "-m", "ichnode_training", *arguments], check=False).returncode
