"""When to try again: exponential back-off as a pure function; somebody else sleeps."""

from __future__ import annotations


def backoff_s(attempts: int, first_s: float, longest_s: float) -> float:
    """Return the seconds to wait after `attempts` failed attempts (1 or more): doubled each time, up to `longest_s`."""
    return float(min(longest_s, first_s * 2.0 ** min(attempts - 1, 40)))
