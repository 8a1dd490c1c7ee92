"""What a machine of the pool computes is what the engine computes, and it computes with one model or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from ichnode import __version__
from ichnode.core.explained import explained
from ichnode.core.findings import CLASSES, findings_from
from ichnode.errors import BundleError
from ichnode.inference.bundle import CARD, WEIGHTS
from ichnode.inference.engine import Engine
from ichnode.inference.pool_worker import PoolWorker
from tests.bundles import write_tiny_bundle

SPACING_MM, MATRIX = 2.0, 128


@pytest.fixture
def head():
    """Fluid with a rim of bone in air, and the positions of its slices."""
    grid = np.hypot(*np.mgrid[-1 : 1 : MATRIX * 1j, -1 : 1 : MATRIX * 1j])
    plane = np.where(grid < 0.7, 30, np.where(grid < 0.8, 900, -1000)).astype(np.int16)
    return np.repeat(plane[np.newaxis], 8, axis=0), [5.0 * index for index in range(8)]


@pytest.fixture(scope="module")
def files(tiny_bundle):
    return {name: (tiny_bundle.folder / name).read_bytes() for name in (WEIGHTS, CARD)}


@pytest.fixture
def worker(tiny_bundle, files):
    made = PoolWorker()
    made.load(__version__, tiny_bundle.digest, files, "cpu", 1, "torch", "fp32")
    return made


def test_scores_and_heat_maps_are_those_of_the_engine(worker, tiny_bundle, head):
    volume, positions = head
    engine = Engine.load(tiny_bundle.folder, "cpu", 1)
    here = engine.read(volume, positions, (SPACING_MM, SPACING_MM))
    there = worker.read(tiny_bundle.digest, volume, positions, (SPACING_MM, SPACING_MM))
    np.testing.assert_allclose(there.scores, here.scores, atol=1e-5)
    rows = [tuple(map(float, row)) for row in here.scores]
    classes = explained(rows, findings_from(rows, tiny_bundle.thresholds))
    wanted = [(index, CLASSES.index(name)) for index, name in classes.items()]
    assert list(there.maps) == wanted, "the maps that the answer will be explained by, and no other"
    for place, image in zip(wanted, engine.activations(here, wanted) if wanted else (), strict=True):
        np.testing.assert_allclose(there.maps[place], image, atol=1e-4)


def test_it_does_not_answer_for_another_model(worker, tmp_path, head):
    other = write_tiny_bundle(tmp_path / "other", seed=8)
    with pytest.raises(BundleError, match="This worker has the model"):
        worker.read(other.digest, *head, (SPACING_MM, SPACING_MM))


def test_files_of_another_model_are_not_taken_for_the_one_that_was_named(files, tmp_path):
    other = write_tiny_bundle(tmp_path / "other", seed=8)
    with pytest.raises(BundleError, match=f"is not {other.digest[:12]}"):
        PoolWorker().load(__version__, other.digest, files, "cpu", 1, "torch", "fp32")


def test_another_version_of_ichnode_is_refused_before_anything_is_loaded(tiny_bundle):
    with pytest.raises(BundleError, match="install the same"):
        PoolWorker().load("0.0.1", tiny_bundle.digest, {}, "cpu", 1)
