"""A real PostgreSQL of one's own: in a folder of its own, as an unprivileged user, on a Unix socket, for tests only.

Nothing is fsynced in tests: what they prove of durability they prove by killing ichnode, never this server.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from ichnode.worklist.database import Worklist
from tests.peers import wait_until

_UNPRIVILEGED = "postgres"
_FAST = ("fsync=off", "full_page_writes=off", "autovacuum=off", "jit=off")
_COMMON = (
    "max_connections=150", "shared_buffers=32MB",
    "max_wal_size=2GB", "listen_addresses=", "logging_collector=off", "log_min_messages=fatal",
)  # fmt: skip


def programs() -> Path | None:
    """Return the folder of the server's programs, which Debian keeps out of the path; None where there is none."""
    found = shutil.which("postgres")
    of_debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return Path(found).resolve().parent if found else of_debian[-1].parent if of_debian else None


class Postgresql:
    """A server with a migrated, empty worklist, of which every test gets a copy."""

    def __init__(self, programs: Path, *, durable: bool = False) -> None:
        self._programs = programs
        self._options = _COMMON if durable else (*_FAST, *_COMMON)
        self._folder = Path(tempfile.mkdtemp(prefix="ichnode-pg-"))
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None  # the server refuses to be run by root
        if self._user:
            shutil.chown(self._folder, self._user)
        self._data = self._folder / "data"
        self._number = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Postgresql:
        initdb = [self._programs / "initdb", "-D", self._data, "-U", "ichnode", "-A", "trust", "-E", "UTF8"]
        self._run([*initdb, "--locale=C.UTF-8", "--no-sync"])
        self.serve()
        self._ask("CREATE DATABASE empty")
        worklist = Worklist(self.url("empty"))
        worklist.migrate()
        worklist.dispose()
        return self

    def serve(self) -> None:
        """Start the server process on what is there."""
        options = [part for one in (*self._options, f"unix_socket_directories={self._folder}") for part in ("-c", one)]
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._data, *options], cwd=self._folder, user=self._user,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_until(self._answers, 60, "PostgreSQL answers")

    def halt(self) -> None:
        """End the server process as a failure would: every connection breaks."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://ichnode@/{database}?host={self._folder}"

    @contextlib.contextmanager
    def copied(self, of: str = "empty") -> Iterator[str]:
        """Yield the URL of a new worklist, which is gone afterwards; of ``template0`` it has no tables yet."""
        name = f"worklist_{next(self._number)}"
        self._ask(f"CREATE DATABASE {name} TEMPLATE {of} STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self._ask(f"DROP DATABASE {name} WITH (FORCE)")

    def tell(self, url: str, statement: str) -> None:
        """Say something to the server, as its administrator."""
        self._ask(statement, make_url(url).database)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"PostgreSQL ended with {self._process.returncode}")
        try:
            self._ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _ask(self, statement: str, database: str | None = "postgres") -> None:
        with psycopg.connect(host=str(self._folder), user="ichnode", dbname=database, autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, command: list[str | Path]) -> None:
        subprocess.run(command, check=True, cwd=self._folder, user=self._user, stdout=subprocess.DEVNULL)
