"""Which patients a network learns from, is tuned on and is judged by: by patient, the same every time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of

from .planes import SPLITS, DataSetError, Scan


def split_patients(
    scans: Iterable[Scan], shares: Mapping[str, float], kept: Mapping[str, str] | None = None, seed: int = 0
) -> dict[str, str]:
    """Split patients so that every part has its share of each kind of bleed.

    Patients are grouped by the rarest class that any of their scans bears (none is a group, too), ordered within the
    group by a hash of seed and name, and dealt to whichever part lacks most of that group. No slice of a patient is
    ever in two parts.

    Parameters
    ----------
    scans : iterable of Scan
    shares : mapping of part to share
        Of `SPLITS`; they add up to 1.
    kept : mapping of patient to part, optional
        Who has a part already keeps it, so that a frozen test set stays frozen while data are added. Who is in a part
        of share 0 takes nothing of the others' shares.
    seed : int

    Returns
    -------
    dict of patient to part
    """
    if not set(shares) <= set(SPLITS) or abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0:
        raise DataSetError(f"The shares of {', '.join(SPLITS)} have to be 0 or more and add up to 1.")
    bears: dict[str, frozenset[int]] = {}
    for scan in scans:
        found = np.nanmax(np.vstack([scan.labels, scan.scan_labels, np.zeros(len(CLASSES))]), axis=0)
        bears[scan.patient] = bears.get(scan.patient, frozenset()) | frozenset(np.flatnonzero(found > 0.5).tolist())
    often = [sum(column in one for one in bears.values()) for column in range(len(CLASSES))]
    groups: dict[int, list[str]] = {}
    for patient in sorted(bears, key=lambda name: digest_of(f"{seed}/{name}".encode())):
        groups.setdefault(min(bears[patient], key=lambda column: often[column], default=-1), []).append(patient)
    parts = dict(kept or {})
    for group in groups.values():
        counts = {part: sum(parts.get(patient) == part for patient in group) for part in shares}
        total = sum(patient not in parts or shares.get(parts[patient], 0) > 0 for patient in group)
        wanted = _wanted(shares, counts, total)
        for patient in group:
            if patient not in parts:
                part = max(shares, key=lambda name: wanted[name] - counts[name])
                parts[patient] = part
                counts[part] += 1
    return parts


def _wanted(shares: Mapping[str, float], counts: Mapping[str, int], total: int) -> dict[str, float]:
    """Return how many of a group each part is to have; what one has too many goes off all others in proportion."""
    wanted = {part: shares[part] * total for part in shares}
    rest, left = {part for part in shares if shares[part] > 0}, total
    while full := {part for part in rest if counts[part] > wanted[part]}:
        rest -= full
        left -= sum(counts[part] for part in full)
        wanted |= {part: left * shares[part] / sum(shares[name] for name in rest) for part in rest}
    return wanted
