"""Examine the analysis pool: is Ray installed, does the cluster answer, does it take the token?"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from ichnode.config import Settings
from ichnode.inference.cluster import answers, environment
from ichnode.steps.examine import Check

ASKED_S = 30.0


def examine_pool(settings: Settings) -> Check:
    """Look at Ray, the token file and the head, without joining the cluster."""
    pool = settings.pool
    if find_spec("ray") is None:
        return Check("pool", "Ray is not installed", "Install ichnode with its extra: pip install 'ichnode[pool]'.")
    try:
        token = Path(pool.token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token:
        return Check("pool", f"no token in {pool.token_file}", "Write the cluster's token into pool.token_file.")
    if not answers(pool.address):
        return Check(
            "pool", f"{pool.address} does not answer", "Series wait until it does. Start the head, or set pool.address."
        )
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", pool.address]
    try:
        asked = subprocess.run(
            command, env={**os.environ, **environment(pool)}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=ASKED_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Check("pool", f"{pool.address} does not say how it is", "Its head hangs: start it again.")
    if asked.returncode == 0:
        most = f"at most {pool.gpu_workers} workers with a GPU and {pool.cpu_workers} without"
        return Check("pool", f"{pool.address} takes the token; {most}")
    if "InvalidAuthToken" in asked.stderr:
        return Check("pool", f"{pool.address} refuses the token", "pool.token_file has to hold the cluster's token.")
    return Check(
        "pool", f"{pool.address} is not well", "See the log of its head; it has to be of the same Ray version."
    )
