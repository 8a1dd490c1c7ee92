"""What reports said of exported studies, under the names that these have in the export.

Reports speak of accession numbers and Study Instance UIDs, which stay in the hospital; nobody could join them to an
export afterwards. So the join is done here, where both are known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ichnode.core.findings import CLASSES
from ichnode.core.pseudonyms import Pseudonyms
from ichnode.steps.node import Node
from ichnode.steps.outcomes import Reported
from ichnode.worklist import lab


@dataclass(frozen=True, slots=True)
class Joined:
    """Outcomes as lines of the labels' table.

    Attributes
    ----------
    rows : tuple of mapping of column to text
        Each names the series that the node read of its study: what readers said of the same series stands beside it,
        and where the two contradict each other the importer uses neither and says so.
    elsewhere : int
        Outcomes of studies of which nothing is in the export.
    shared : int
        Outcomes whose accession number several patients have; left out.
    """

    rows: tuple[Mapping[str, str], ...]
    elsewhere: int
    shared: int


def join(node: Node, reported: Sequence[Reported], written: Collection[int], pseudonyms: Pseudonyms) -> Joined:
    """Return what reports said of the series that were `written`, by their numbers in the worklist."""
    rows: list[Mapping[str, str]] = []
    elsewhere = shared = 0
    with node.worklist.read() as tx:
        named = [lab.named(tx, accession=one.accession, study_instance_uid=one.study_instance_uid) for one in reported]
    for one, studies in zip(reported, named, strict=True):
        here = [study for study in studies if study.series_id in written]
        if len({study.patient for study in studies}) > 1:
            shared += 1
        elif not here:
            elsewhere += 1
        else:
            said = {name: str(int(one.scan[name])) for name in CLASSES if name in one.scan}
            rows += [
                {
                    "study_instance_uid": pseudonyms.uid(study.study_instance_uid),
                    "series_instance_uid": pseudonyms.uid(study.series_instance_uid), **said,
                }
                for study in here
            ]  # fmt: skip
    return Joined(tuple(rows), elsewhere, shared)
