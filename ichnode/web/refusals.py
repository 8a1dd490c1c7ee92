"""What a request is refused with; a page for people, JSON for programs."""

from __future__ import annotations


class Refused(Exception):
    """A request cannot be answered as asked.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Stable upper-case code.
    sentence : str
        What to do about it. Never patient data.
    """

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence
