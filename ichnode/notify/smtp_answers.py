"""SMTP whose answers end: each has so much time and so many bytes, however many lines it has (RFC 5321 4.2.1)."""

from __future__ import annotations

import io
import smtplib
import socket
import time

MOST_ANSWER_BYTES = 1 << 16


class _Answers(io.RawIOBase):
    """What a server sends; reading more than one answer may hold, or longer than it may take, raises."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        self._connection, self._timeout_s = connection, timeout_s
        self.begin()

    def begin(self) -> None:
        """The next answer begins."""
        self._end, self._left = time.monotonic() + self._timeout_s, MOST_ANSWER_BYTES

    def readable(self) -> bool:
        """Return True, as `io.BufferedReader` asks."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Read some bytes; see `io.RawIOBase`."""
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if self._left <= 0:
            raise OSError("the answer does not end")
        self._connection.settimeout(left_s)
        number = self._connection.recv_into(buffer)
        self._left -= number
        return number


class Smtp(smtplib.SMTP):
    """`smtplib.SMTP`, whose `timeout` is that of a whole answer."""

    def getreply(self) -> tuple[int, bytes]:
        """Read one answer; see `smtplib.SMTP`."""
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_Answers(self.sock, self.timeout))
        if self.file is not None:
            self.file.raw.begin()
        try:
            return super().getreply()
        finally:
            if self.sock is not None:
                self.sock.settimeout(self.timeout)


class SmtpOverTls(Smtp, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""
