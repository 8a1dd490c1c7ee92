"""Back-off: doubles, has a ceiling, and does not overflow after a week of failures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.retry import backoff_s


def test_doubles_up_to_the_ceiling():
    assert [backoff_s(n, 5, 600) for n in range(1, 10)] == [5, 10, 20, 40, 80, 160, 320, 600, 600]


@given(st.integers(1, 100_000), st.floats(0.1, 3600), st.floats(0.1, 86400))
def test_never_beyond_the_ceiling_and_never_shorter_than_before(attempts, first_s, longest_s):
    now, before = backoff_s(attempts, first_s, longest_s), backoff_s(max(1, attempts - 1), first_s, longest_s)
    assert 0 < before <= now <= longest_s


def test_a_week_takes_few_attempts():
    tries = [backoff_s(n, 5, 600) for n in range(1, 1100)]
    assert sum(tries[:1015]) > 7 * 86400
