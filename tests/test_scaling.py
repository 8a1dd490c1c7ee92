"""The simulation of docs/scaling.md against what queueing theory knows in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.scaling import DAYS, HOURLY, Assumed, arrivals, need, services, waits


def erlang_c_wait(rate: float, service_s: float, servers: int) -> float:
    """Mean wait in M/M/c."""
    offered = rate * service_s
    top = offered**servers / math.factorial(servers) / (1 - offered / servers)
    chance = top / (sum(offered**k / math.factorial(k) for k in range(servers)) + top)
    return chance * service_s / (servers - offered)


@pytest.mark.parametrize("servers", [1, 4])
def test_the_mean_wait_is_erlangs(servers):
    rng = np.random.default_rng(3)
    service_s, busy, number = 2.0, 0.7, 100_000
    rate = busy * servers / service_s
    came = np.cumsum(rng.exponential(1 / rate, number))
    found = waits(came, rng.exponential(service_s, number), servers).mean()
    assert found == pytest.approx(erlang_c_wait(rate, service_s, servers), rel=0.1)


def test_what_comes_and_how_long_it_takes_is_as_assumed():
    rng = np.random.default_rng(3)
    came = arrivals(rng, 10_000, DAYS)
    assert len(came) == pytest.approx(10_000 * DAYS, rel=0.02)
    assert np.all(np.diff(came) >= 0)
    hours = np.bincount((came // 3600 % 24).astype(int)) / len(came)
    np.testing.assert_allclose(hours, np.array(HOURLY) / sum(HOURLY), atol=0.005)
    assumed = Assumed(thin_share=0.5, thin_factor=2.0, lost_share=0.1, spread=0.4)
    assert services(rng, 200_000, 3.0, assumed).mean() == pytest.approx(3.0 * 1.5 * 1.1, rel=0.02)


def test_more_hospitals_need_more_workers_and_use_each_better():
    few, many = (need(hospitals, 20.0, Assumed()) for hospitals in (3, 300))
    assert many.workers > few.workers
    assert many.busy > few.busy
    assert many.catch_up_min == pytest.approx(60 * many.busy / (1 - many.busy))
    assert max(few.wait_p95_s, many.wait_p95_s) <= 10.0
