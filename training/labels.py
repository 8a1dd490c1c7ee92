"""What is known of slices and scans when somebody labelled one of them.

=====================================  ===================================================================
known                                  follows
=====================================  ===================================================================
a subtype is present                   ``any`` is present
``any`` is absent                      every subtype is absent
a slice is positive                    its scan is positive, whatever the scan's own label says
all slices are negative                the scan is negative, where it has no label of its own
a scan is negative                     all of its slices are negative
a scan is positive                     nothing of its slices
=====================================  ===================================================================

Each class on its own; what does not follow stays NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES

from .planes import Scan

Row = NDArray[np.float32]
UNKNOWN: Row = np.full(len(CLASSES), np.nan, np.float32)
UNKNOWN.setflags(write=False)


def completed(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill in what follows within rows of shape (…, 6)."""
    filled = np.array(rows, np.float32)
    subtypes = filled[..., 1:]
    filled[..., 0] = np.where((subtypes == 1).any(-1), 1, filled[..., 0])
    filled[..., 1:] = np.where(filled[..., :1] == 0, 0, subtypes)
    return filled


def labelled(scan: Scan, of_slice: Mapping[str, Row], of_scan: Row = UNKNOWN) -> Scan:
    """Return a scan with labels.

    Parameters
    ----------
    of_slice : mapping of instance to array of shape (6,)
        An instance that is not in it is unknown. The label of a slice that was left out because another lies at its
        place counts for that one, where it has none.
    of_scan : array of shape (6,)
    """
    slices = np.stack([of_slice.get(name, UNKNOWN) for name in scan.instances])
    for name, index in scan.duplicates:
        slices[index] = np.where(np.isnan(slices[index]), of_slice.get(name, UNKNOWN), slices[index])
    slices, whole = completed(slices), completed(of_scan)
    positive = (slices == 1).any(axis=0)
    negative = (slices == 0).all(axis=0) & np.isnan(whole)
    whole = completed(np.where(positive, 1, np.where(negative, 0, whole)).astype(np.float32))
    slices = np.where(np.isnan(slices) & (whole == 0), 0, slices).astype(np.float32)
    return replace(scan, labels=slices, scan_labels=whole)


def agreed(rows: Sequence[Row]) -> tuple[Row, bool]:
    """Merge labels of the same thing: what only some know is known, what contradicts is not.

    Returns
    -------
    (array of shape (6,), bool)
        The second is whether any contradicted.
    """
    stack = np.stack(rows)
    present, absent = (stack == 1).any(axis=0), (stack == 0).any(axis=0)
    row = np.where(present & absent, np.nan, np.where(present, 1, np.where(absent, 0, np.nan))).astype(np.float32)
    return row, bool((present & absent).any())
