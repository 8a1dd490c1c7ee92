"""Heat maps, kept and read again."""

from __future__ import annotations

import io

import numpy as np
import pytest

from ichnode.core import heat
from ichnode.core.images import SeriesImages


def images(maps):
    positions = tuple((0.0, 0.0, float(z)) for z in range(8))
    volume = np.zeros((8, 6, 5), np.int16)
    classes = dict.fromkeys(maps, "subdural")
    return SeriesImages(volume, (1.0, 1.0), maps, classes, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), positions, 5.0)


def test_maps_come_back_to_within_half_a_step_in_the_order_of_the_slices():
    random = np.random.default_rng(1)
    maps = {i: random.random((6, 5), np.float32) for i in (5, 2)}
    content = heat.pack(images(maps))
    assert content == heat.pack(images(dict(sorted(maps.items())))), "the same bytes for the same maps"
    found = heat.unpack(content)
    assert (found.indices, found.classes) == ((2, 5), ("subdural", "subdural"))
    for index, one in zip(found.indices, found.maps, strict=True):
        assert np.abs(one / 255 - maps[index]).max() <= 0.5 / 255 + 1e-6


def test_without_maps_nothing_is_kept():
    assert heat.pack(images({})) is None


def bomb():
    packed = io.BytesIO()
    maps = np.zeros((1, 8192, 8193), np.uint8)
    np.savez_compressed(packed, indices=np.array([0]), classes=np.array(["any"]), maps=maps)
    return packed.getvalue()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", bomb()], ids=["empty", "cut", "bomb"])
def test_what_is_not_heat_maps_is_refused(content):
    with pytest.raises(ValueError, match="heat maps"):
        heat.unpack(content)
