"""The protocol of the pages' port: who connects and says nothing, or says it too slowly, does not keep others out."""

from __future__ import annotations

import asyncio
import ipaddress

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 20.0
"""Longest time from the connection, or from the answer before, to a whole request head."""
IDLE_OF_ONE = 64
"""Connections of one address that wait for a request; this machine itself, where a proxy may be, has no such limit."""


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with a bound on what is not a request yet; an answer may take what it takes."""

    _late: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or end at once where too many of this address do."""
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        if not is_of_this_machine(host) and self._idle_of(host) > IDLE_OF_ONE:
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; a whole head ends the wait."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._end_watch()
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._end_watch()
        super().connection_lost(exc)

    def _idle_of(self, host: str) -> int:
        return sum(
            isinstance(one, BoundedProtocol) and one.is_idle and one.client is not None and one.client[0] == host
            for one in self.connections
        )

    def _watch(self) -> None:
        if not self.is_idle or self.transport.is_closing():
            self._end_watch()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_S, self.transport.abort)

    def _end_watch(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def is_of_this_machine(host: str) -> bool:
    """Tell whether an address is a loopback address, or none (a UNIX socket)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
