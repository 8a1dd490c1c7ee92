"""Opening the port: for one process alone, or for several, among which the kernel distributes connections."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TypeAlias

_BACKLOG = 1024
OpenPort: TypeAlias = Callable[[str, int], socket.socket]
"""Takes address and port, 0 being any free one; returns a socket that listens, or raises OSError."""


def alone(host: str, port: int) -> socket.socket:
    """Listen where nobody else does."""
    return _listener(host, port, shared=False)


def first_of_several(host: str, port: int) -> socket.socket:
    """Listen where others may join (SO_REUSEPORT); nobody may be there yet, as neither would know of the other."""
    if port:
        alone(host, port).close()
    return _listener(host, port, shared=True)


def join(host: str, port: int) -> socket.socket:
    """Listen where another process of the same user does."""
    return _listener(host, port, shared=True)


def _listener(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server(
        (host, port), family=family, backlog=_BACKLOG, reuse_port=shared, dualstack_ipv6=both
    )
    listener.setblocking(False)
    return listener
