"""What the Instance Numbers of a series say: nothing of its order, but something of what is missing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ichnode.core.slices import Slice


def contiguous(slices: Sequence[Slice]) -> bool:
    """Tell whether the numbers run from 0 or 1 without holes; False when any is unknown."""
    instances = {s.sop_instance_uid: s.instance_number for s in slices}
    if len(instances) == 1 and len(slices) > 1:
        return True  # one multi-frame instance holds all its frames
    numbers = {number for number in instances.values() if number is not None}
    if None in instances.values():
        return False
    return min(numbers) in (0, 1) and max(numbers) - min(numbers) + 1 == len(numbers)


def falling(ordered: Sequence[Slice]) -> bool:
    """Tell whether the numbers of slices in order fall from inferior to superior, most of the way."""
    numbers = [(s.instance_number, s.frame) for s in ordered if s.instance_number is not None]
    return sum(later < earlier for earlier, later in itertools.pairwise(numbers)) > len(ordered) / 2
