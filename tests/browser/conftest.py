"""A head CT with a bleed, sent by storescu to an archive and to a node; the archive seen through OHIF in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from ichnode_training.phantom import make_head
from ichnode_training.phantom_dicom import write_dicom

from tests.browser.ohif import OHIF
from tests.browser.person import Person, at_the_viewer
from tests.browser.served import served
from tests.conftest import missing
from tests.peers import Orthanc, run_dcmtk
from tests.published import NotFetchedError
from tests.running import RunningNode, running

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SEED = 9
"""A head whose map points at its bleed; how often maps do is the matter of the pointing game."""
BLEEDS_ML = {"intraparenchymal": 35.0, "intraventricular": 6.0}
FORMATS = ("sr", "text-sr", "sc", "sc-frames", "pm")


@dataclass(frozen=True)
class Answered:
    """A study that has been answered: where it is, and what the node says of it."""

    archive: Orthanc
    data: Path
    study_instance_uid: str
    series: dict[str, Any]


@pytest.fixture(scope="package")
def answered(component: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    """The study in Orthanc, with everything that the node with the shipped model has delivered there."""
    storescu, program = component("storescu", "dcmtk"), component("Orthanc", "orthanc")
    folder = tmp_path_factory.mktemp("viewer")
    files = write_dicom(make_head(SEED, tuple(BLEEDS_ML), matrix=256, volumes_ml=BLEEDS_ML), folder / "ct")
    with Orthanc(folder / "orthanc", program, plugins=True) as archive:
        pacs = {"name": "pacs", "aet": archive.aet, "host": "127.0.0.1", "port": archive.port, "formats": list(FORMATS)}
        times = {"settle_s": 0.3, "quiet_s": 2.0, "max_wait_s": 8.0}
        with running(RunningNode(folder / "node", destinations=[pacs], completeness=times)) as node:
            for aet, port in ((archive.aet, archive.port), (node.aet, node.port)):
                run_dcmtk(storescu, "+sd", "-aec", aet, "127.0.0.1", port, folder / "ct")
            node.wait_settled()
            (series,) = node.series()
            assert node.stop() == 0
        study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        yield Answered(archive, node.data, study, series)


@pytest.fixture(scope="package")
def viewer(answered: Answered) -> Iterator[str]:
    """The address of an OHIF that shows that archive."""
    try:
        pages = OHIF.folder()
    except NotFetchedError as absent:
        missing(str(absent))
    with served(pages, answered.archive.http_port) as address:
        yield address


@pytest.fixture
def person(component: Callable[[str, str], str], viewer: str, answered: Answered) -> Iterator[Person]:
    """Somebody who has just opened the study."""
    with at_the_viewer(component("chromium", "chromium"), viewer, SCREENSHOTS) as somebody:
        somebody.open_study(answered.study_instance_uid)
        yield somebody
