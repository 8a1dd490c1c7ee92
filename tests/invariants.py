"""What has to hold after anything at all has happened to the node."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom import dcmread

from ichnode.core.identity import digest_of
from ichnode.worklist import assembly
from tests.running import RunningNode, current_results


def evidence_of(report: str) -> set[str]:
    """Return the SOP Instance UIDs that a Structured Report lists as its evidence."""
    found = set()
    for study in dcmread(report).CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            found |= {str(item.ReferencedSOPInstanceUID) for item in series.ReferencedSOPSequence}
    return found


def check(node: RunningNode, acknowledged: Iterable[str]) -> None:
    """Every acknowledged slice is on disk, whole, and in exactly one final result of exactly one series."""
    spool = node.data / "spool"
    seen: dict[str, int] = {}
    for series in node.series():
        with node.worklist.read() as tx:
            files = {f.slice.sop_instance_uid: f.file for f in assembly.filed_slices(tx, series["id"])}
        current = current_results(series)
        assert len(current) == 1, f"{len(current)} current results for a series in state {series['state']}"
        (said,) = [report for report in current[0]["reports"] if report["kind"] == "sr"]
        referenced = evidence_of(str(spool / said["file"]))
        assert referenced == set(files), "the report references all slices of its series and no other"
        for uid, file in files.items():
            path = spool / file
            dataset = dcmread(path)
            assert dataset.SOPInstanceUID == uid
            assert dataset.PixelData
            assert path.stem == digest_of(path.read_bytes()[_meta_length(path) :]), "the file is what its name says"
            seen[uid] = seen.get(uid, 0) + 1
    for uid in acknowledged:
        assert seen.get(uid) == 1, f"an acknowledged slice is in {seen.get(uid, 0)} final results"


def offered(node: RunningNode) -> set[str]:
    """Return the SOP Instance UIDs that the destination has been given: of all current results, and of older ones.

    Of a result that a slow machine had made of a part and superseded in time, the report is withdrawn unseen.
    """
    given = set()
    for series in node.series():
        for result in series["results"]:
            for report in result["reports"]:
                states = {delivery["state"] for delivery in report["deliveries"]}
                assert states == {"delivered"} or (result["superseded_at"] and states == {"withdrawn"}), states
                if "delivered" in states:
                    given.add(report["sop_instance_uid"])
    return given


def _meta_length(path: object) -> int:
    meta = dcmread(str(path), specific_tags=[]).file_meta
    return 132 + 12 + int(meta.FileMetaInformationGroupLength)
