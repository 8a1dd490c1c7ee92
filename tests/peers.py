"""Real neighbours on loopback: Orthanc, DCMTK's storescp, and any DCMTK command. Each is ended by its process id.

Nothing here needs pytest, so the benchmarks start the same peers.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.association import PATIENCE_S, Caller

NO_DELAY = {"TCP_NODELAY": "1"}
"""Without it DCMTK and Orthanc, as Debian builds them, wait 44 ms for each object (Nagle against delayed ACK)."""

T = TypeVar("T")
PATIENCE = 3.0
"""A deadline says how long something takes on a slow machine; a busy one has other things to do besides."""


def _ports() -> Iterator[int]:
    """Yield ports below those that the system gives to connections, other ones in each process of the tests."""
    first, count = 12_000, 5_000
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    start = random.randrange(count)
    for number in itertools.count(start):
        yield first + process * count + number % count


_next_ports = _ports()


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on, a new one at every call."""
    for port in _next_ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")


def wait_until(condition: Callable[[], T], deadline_s: float = 20.0, what: str = "") -> T:
    """Ask `condition` until it returns something true, and return that.

    Fail after `PATIENCE` times `deadline_s`, and after `PATIENCE_S` at the earliest.
    """
    longest_s = max(PATIENCE * deadline_s, PATIENCE_S)
    end = time.monotonic() + longest_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"not within {longest_s:g} s: {what or getattr(condition, '__name__', condition)}")
        time.sleep(0.02)


@contextmanager
def many_descriptors() -> Iterator[None]:
    """Have so many descriptors open that the next ones are beyond 1024, where `select` ends."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(before[1], 2048)), before[1]))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while opened[-1] < 1024:
            opened.append(os.dup(opened[0]))
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def answers_echo(port: int, called: str, calling: str = "ECHOSCU") -> bool:
    """Tell whether a C-ECHO to a port of loopback succeeds."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S):
            pass
    except OSError:
        return False
    ae = Caller(calling)
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return "Status" in status and status.Status == 0


class Peer:
    """A program that runs until it is ended; what it says is in `log`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def _start(self, command: list[str], ready: Callable[[], bool], env: Mapping[str, str] | None = None) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | NO_DELAY | dict(env or {}),
            )
        process = self.process

        def up() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {process.returncode}: {self.log.read_text()[-2000:]}")
            return ready()

        try:
            wait_until(up, 60, f"{command[0]} answers")
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Process id while it runs."""
        assert self.process is not None
        return self.process.pid

    def stop(self) -> None:
        """End it, gently first; does nothing when it does not run."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(60)
        self.process = None

    def __exit__(self, *exc: object) -> None:
        self.stop()


class Orthanc(Peer):
    """An Orthanc with a storage folder of its own.

    Parameters
    ----------
    folder : Path
    modalities : mapping of name to (AE title, port), optional
        Peers on loopback that it may query, move to and forward to.
    plugins : bool
        Load the DICOMweb plug-in.
    options
        More keys of Orthanc's configuration.
    """

    def __init__(
        self, folder: Path, program: str = "Orthanc", *, aet: str = "ORTHANC",
        modalities: Mapping[str, tuple[str, int]] | None = None, plugins: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(folder, "orthanc")
        self.program, self.aet, self.options = program, aet, options
        self.port, self.http_port = free_port(), free_port()
        config = {
            "Name": aet, "DicomAet": aet, "DicomPort": self.port, "HttpPort": self.http_port,
            "StorageDirectory": str(self.folder / "storage"), "IndexDirectory": str(self.folder / "storage"),
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomCheckCalledAet": False,
            "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True, "StableAge": 1, "SaveJobs": False,
            "DicomModalities": {name: [a, "127.0.0.1", p] for name, (a, p) in (modalities or {}).items()},
            "Plugins": ["/usr/share/orthanc/plugins"] if plugins else [],
        }  # fmt: skip
        self.config = self.folder / "orthanc.json"
        self.config.write_text(json.dumps(config | options, indent=1))

    def start(self) -> Self:
        """Start it (again), on the same ports and storage, and wait until it answers a C-ECHO."""
        self._start([self.program, str(self.config)], lambda: answers_echo(self.port, self.aet))
        return self

    __enter__ = start

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API; bytes go out as they are, everything else as JSON. Returns JSON or bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data, method=method)
        for user, password in self.options.get("RegisteredUsers", {}).items():
            request.add_header("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                answer = response.read()
                return json.loads(answer) if "json" in response.headers.get_content_type() else answer
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:300]!r}") from None

    def get(self, path: str) -> Any:
        """GET."""
        return self.rest("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """POST."""
        return self.rest("POST", path, {} if body is None else body)

    def put(self, path: str, body: Any) -> Any:
        """PUT."""
        return self.rest("PUT", path, body)

    def delete(self, path: str) -> Any:
        """DELETE."""
        return self.rest("DELETE", path)

    def find(self, level: str = "Series", **query: str) -> list[dict[str, Any]]:
        """Return what `/tools/find` finds, expanded; keywords are DICOM's."""
        return list(self.post("/tools/find", {"Level": level, "Query": query, "Expand": True}))

    def files(self, folder: Path, **query: str) -> list[Path]:
        """Write the instances that match (`Modality="SR"`, …) into `folder` as DICOM files."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for found in self.find("Instance", **query):
            path = folder / f"{found['ID']}.dcm"
            path.write_bytes(self.get(f"/instances/{found['ID']}/file"))
            paths.append(path)
        return paths

    def upload(self, path: Path) -> str:
        """Store a DICOM file over HTTP and return Orthanc's id of the instance."""
        return str(self.rest("POST", "/instances", path.read_bytes())["ID"])

    def store(self, modality: str, resources: list[str]) -> None:
        """Send resources (Orthanc ids) to one of its modalities by C-STORE, and wait until that is done."""
        self.post(f"/modalities/{modality}/store", {"Resources": resources, "Synchronous": True})


class Storescp(Peer):
    """DCMTK's storescp, writing what it gets to `received`."""

    def __init__(
        self, folder: Path, program: str = "storescp", *, aet: str = "STORESCP", options: tuple[str, ...] = ()
    ) -> None:
        super().__init__(folder, "storescp")
        self.program, self.aet, self.options = program, aet, options
        self.port = free_port()
        self.received = self.folder / "received"
        self.received.mkdir(exist_ok=True)

    def start(self) -> Self:
        """Start it (again) on the same port."""
        command = [self.program, *self.options, "-aet", self.aet, "-od", str(self.received), str(self.port)]
        self._start(command, lambda: answers_echo(self.port, self.aet))
        return self

    __enter__ = start


class Dcmqrscp(Peer):
    """DCMTK's archive: it stores, answers C-FIND, and gives by C-MOVE (to `known` peers) and C-GET.

    Parameters
    ----------
    known : mapping of AE title to port
        Where on loopback it may move to.
    """

    def __init__(
        self, folder: Path, program: str = "dcmqrscp", *, known: Mapping[str, int] | None = None, aet: str = "DCMQR"
    ) -> None:
        super().__init__(folder, "dcmqrscp")
        self.program, self.aet, self.port = program, aet, free_port()
        (self.folder / "store").mkdir(exist_ok=True)
        hosts = [f"h{n} = ({name}, 127.0.0.1, {port})" for n, (name, port) in enumerate((known or {}).items())]
        lines = [
            f"NetworkTCPPort = {self.port}", "MaxPDUSize = 16384", "MaxAssociations = 16",
            "HostTable BEGIN", *hosts, "HostTable END", "VendorTable BEGIN", "VendorTable END",
            "AETable BEGIN", f"{aet} {self.folder / 'store'} RW (500, 1024mb) ANY", "AETable END",
        ]  # fmt: skip
        self.config = self.folder / "dcmqrscp.cfg"
        self.config.write_text("\n".join(lines) + "\n")

    def start(self) -> Self:
        """Start it (again) on the same port and store."""
        self._start([self.program, "-c", str(self.config)], lambda: answers_echo(self.port, self.aet))
        return self

    __enter__ = start


def run_dcmtk(
    program: str, *arguments: str | Path | int, check: bool = True, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a DCMTK command to its end, with TCP_NODELAY=1."""
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, encoding="latin-1", timeout=timeout_s, check=False,
        stdin=subprocess.DEVNULL, env=os.environ | NO_DELAY,
    )  # fmt: skip
    if check and done.returncode != 0:
        raise RuntimeError(f"{Path(program).name} ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
    return done
