"""An archive that lists and gives as told: it may count more than it has, give in part, hang up, or not be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage

from ichnode.dicom.access import Peer
from ichnode.dicom.find import STUDY_ROOT_FIND
from ichnode.dicom.header import parse_file, split_part10
from ichnode.dicom.retrieve import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from ichnode.dicom.scp import Received
from ichnode.steps.receive import receive_slice
from tests.association import serving
from tests.peers import free_port


@dataclass
class Giver:
    """What it has, what it says of it, and what it was asked for."""

    port: int = field(default_factory=free_port)
    aet: str = "ARCHIVE"
    files: dict[str, list[Path]] = field(default_factory=dict)
    """Series Instance UID → files that it has."""
    says: dict[str, int | None] = field(default_factory=dict)
    """Series Instance UID → what it counts, where that is not what it has."""
    gives: dict[str, int] = field(default_factory=dict)
    """Series Instance UID → how many files it gives at most."""
    between: Callable[[], None] = lambda: None
    """Called before each file that it gives."""
    looks: int = 0
    gets: list[str] = field(default_factory=list)

    def add(self, files: list[Path]) -> str:
        """Let it have a series; returns its UID."""
        uid = str(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
        self.files[uid] = files
        return uid

    @property
    def section(self) -> dict[str, object]:
        """[source]"""
        return {
            "aet": self.aet, "host": "127.0.0.1", "port": self.port, "retrieve": "c-get", "patience_s": 60,
            "look_every_s": 300, "first_retry_s": 60, "attempts": 3, "timeout_s": 120,
        }  # fmt: skip

    @contextmanager
    def listening(self) -> Iterator[Giver]:
        """Answer inside the block; outside of it nobody listens on the port."""
        ae = AE(ae_title=self.aet)
        ae.add_supported_context(STUDY_ROOT_FIND)
        ae.add_supported_context(STUDY_ROOT_GET)
        ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
        ae.add_supported_context(STUDY_ROOT_MOVE)
        acts = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get), (evt.EVT_C_MOVE, self._move)]
        with serving(ae, self.port, acts):
            yield self

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        self.looks += asked.QueryRetrieveLevel == "STUDY"
        seen = set()
        for uid, files in self.files.items():
            header = dcmread(files[0], stop_before_pixels=True)
            answer = Dataset()
            answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
            answer.StudyInstanceUID = header.StudyInstanceUID
            if asked.QueryRetrieveLevel == "STUDY":
                first, _, last = asked.StudyDate.partition("-")
                if header.StudyInstanceUID in seen or not first <= header.StudyDate <= (last or "9"):
                    continue
                if asked.get("PatientID") not in (None, header.PatientID):
                    continue
                seen.add(header.StudyInstanceUID)
                for keyword in ("StudyDate", "StudyTime", "StudyDescription", "PatientID", "PatientBirthDate"):
                    setattr(answer, keyword, header.get(keyword))
            elif asked.StudyInstanceUID != header.StudyInstanceUID:
                continue
            else:
                for keyword in ("SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription"):
                    setattr(answer, keyword, header.get(keyword))
                answer.NumberOfSeriesRelatedInstances = self.says.get(uid, len(files))
            yield 0xFF00, answer

    def _get(self, event: evt.Event) -> Iterator[object]:
        uid = event.identifier.SeriesInstanceUID
        self.gets.append(uid)
        files = self.files[uid][: self.gives.get(uid)]
        yield len(files)
        for file in files:
            self.between()
            yield 0xFF00, dcmread(file)

    def _move(self, event: evt.Event) -> Iterator[object]:
        """Say that there is no such destination (0xA801), as some do where it does not take their association."""
        self.gets.append(event.identifier.SeriesInstanceUID)
        yield None, None


def come(node, files):
    """Let slices come by themselves."""
    for file in files:
        syntax, encoded = split_part10(file.read_bytes())
        header = parse_file(file)
        peer = Peer("CT", "127.0.0.1", "ICHAI")
        receive_slice(node, Received(None, peer, header.sop_class_uid, header.sop_instance_uid, syntax, encoded))
