"""Other machines, played by network namespaces of this one: each with an address and a cable that can be pulled.

Whoever uses them lives in the namespace of the switch (`tests.private_network`), and has an address on it too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers import wait_until

OWN_ADDRESS = "10.77.0.1"
_NETWORK = "10.77.0.{}/24"


@dataclass(frozen=True)
class Host:
    """One machine: where others reach it, and what has to stand before a command that is to run on it."""

    address: str
    within: tuple[str, ...] = ()
    cable: str = ""

    def pull(self) -> None:
        """Pull its cable: packets are lost from now on, and nobody is told."""
        _ip("link", "set", self.cable, "down")


@contextmanager
def hosts(*names: str) -> Iterator[dict[str, Host]]:
    """Connect so many machines with a switch, and with the one that asks for them."""
    _ip("link", "add", "switch", "type", "bridge")
    _ip("address", "add", _NETWORK.format(1), "dev", "switch")
    _ip("link", "set", "switch", "up")
    alive: list[subprocess.Popen[bytes]] = []
    try:
        yield {name: _host(number, alive) for number, name in enumerate(names, 2)}
    finally:
        for one in alive:
            one.kill()
            one.wait()


def _host(number: int, alive: list[subprocess.Popen[bytes]]) -> Host:
    alive.append(subprocess.Popen(["unshare", "--net", "sleep", "infinity"]))
    its = Path(f"/proc/{alive[-1].pid}/ns/net")
    ours = Path("/proc/thread-self/ns/net")
    wait_until(lambda: its.readlink() != ours.readlink(), 60, "a namespace of its own")
    within, cable = ("nsenter", f"--net={its}", "--"), f"cable{number}"
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(alive[-1].pid))
    _ip("link", "set", cable, "master", "switch", "up")
    _ip("address", "add", _NETWORK.format(number), "dev", "eth0", within=within)
    for device in ("eth0", "lo"):
        _ip("link", "set", device, "up", within=within)
    return Host(_NETWORK.format(number).partition("/")[0], within, cable)


def _ip(*words: str, within: tuple[str, ...] = ()) -> None:
    subprocess.run([*within, "ip", *words], check=True, capture_output=True)
