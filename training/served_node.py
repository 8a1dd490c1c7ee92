"""A node as a child process: the real ``ichnode serve``, from its first word to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

from ichnode.errors import IchnodeError

ICHNODE = (sys.executable, "-m", "ichnode")


class ServedNode:
    """``ichnode serve`` as a child process, from its first word to its end."""

    def __init__(self, config: Path, log: Path) -> None:
        self._config, self._log = config, log
        self._words = ""
        self._spoke = threading.Event()

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*ICHNODE, "serve", "--config", str(self._config)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        self._words = self._process.stdout.readline()
        self._spoke.set()
        for _ in self._process.stdout:
            pass

    def port(self, timeout_s: float) -> int:
        """Return the port on which it listens, once it does."""
        self._spoke.wait(timeout_s)
        if "listens on" not in self._words:
            raise IchnodeError(f"The node did not start. Its log, {self._log}, ends with:\n{self.last_words()}")
        return int(self._words.split("listens on")[1].split()[0].rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Number of its process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def last_words(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-8:])
