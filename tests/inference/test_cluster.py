"""What is said of a cluster without joining it; joining is what tests/pool does."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from ichnode.errors import ConfigError
from ichnode.inference import cluster
from ichnode.inference.cluster import MISSED, Cluster, ClusterAway, answers
from ichnode.pool_section import PoolSection


@pytest.fixture
def head():
    """A port of loopback that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def section_of(head):
    return PoolSection(address=f"127.0.0.1:{head.getsockname()[1]}", token_file="/token")


def test_a_head_is_away_after_it_was_missed_some_times_in_a_row_and_not_before(head, monkeypatch):
    section, monotonic = section_of(head), iter(range(0, 1000, 10))
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: float(next(monotonic))))
    watched = Cluster(section)
    assert answers(section.address)
    watched.watch()
    head.close()
    for _ in range(MISSED - 1):
        watched.watch()
    with pytest.raises(ClusterAway, match=section.address):
        watched.watch()


def test_without_ray_it_is_said_what_to_install(head, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'ichnode\[pool\]'"), Cluster(section_of(head)):
        pass
