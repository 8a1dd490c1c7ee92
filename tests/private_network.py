"""A network with nothing in it but a loopback, for what listens on all addresses whatever it is told."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_CLONE_NEWNET, _SIOCSIFFLAGS, _IFF_UP = 0x40000000, 0x8914, 0x1


@contextmanager
def private_network() -> Iterator[bool]:
    """Let this thread, and what it starts, live in a network namespace of its own; False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as before:  # noqa: PTH123
        if libc.unshare(_CLONE_NEWNET) != 0:
            yield False
            return
        try:
            yield _is_up()
        finally:
            assert libc.setns(before.fileno(), _CLONE_NEWNET) == 0


def _is_up() -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
    except OSError:
        return False
    return True
