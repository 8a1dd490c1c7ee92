"""What every folder of tests may use: the test data, real peers, a synthetic head CT."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

from tests import peers

settings.register_profile("no deadline", deadline=None)  # how long an example takes is no matter of a test
settings.load_profile("no deadline")


def missing(what: str) -> NoReturn:
    """Skip for what is not here; fail where everything must be."""
    if os.environ.get("ICHNODE_REQUIRE_COMPONENTS") == "1":
        pytest.fail(what)
    pytest.skip(what)


def find_component(program: str, package: str) -> str:
    """Return where `program` is; where it is not, skip with the package's name, or fail."""
    found = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    if found is None:
        missing(f"{package} is not installed")
    return found


@pytest.fixture(scope="session")
def component() -> Callable[[str, str], str]:
    """``component("storescu", "dcmtk")`` → its path."""
    return find_component


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with real head CTs: ICHNODE_TEST_DATA, or ../shared/data beside the project."""
    folder = Path(os.environ.get("ICHNODE_TEST_DATA") or Path(__file__).parents[1] / "../shared/data").resolve()
    if not (folder / "ct_ich").is_dir():
        missing("the test data are not here: set ICHNODE_TEST_DATA to their folder")
    return folder


@pytest.fixture
def free_port() -> int:
    """A TCP port of loopback that nobody listens on; `tests.peers.free_port` gives more."""
    return peers.free_port()


@pytest.fixture
def dcmtk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``dcmtk("storescu", "-aec", "ICHAI", "127.0.0.1", port, path)``: run it, fail when it fails."""

    def run(program: str, *arguments: str | Path | int, **options: Any) -> subprocess.CompletedProcess[str]:
        return peers.run_dcmtk(find_component(program, "dcmtk"), *arguments, **options)

    return run


@pytest.fixture
def start_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., peers.Orthanc]]:
    """``start_orthanc(aet=…, modalities={"ichnode": ("ICHAI", port)}, plugins=False, …)`` → a running `Orthanc`."""
    started: list[peers.Orthanc] = []

    def start(**options: Any) -> peers.Orthanc:
        program = find_component("Orthanc", "orthanc")
        orthanc = peers.Orthanc(tmp_path_factory.mktemp("orthanc"), program, **options)
        started.append(orthanc)
        return orthanc.start()

    yield start
    for orthanc in started:
        orthanc.stop()


@pytest.fixture
def orthanc(start_orthanc: Callable[..., peers.Orthanc]) -> peers.Orthanc:
    """A running Orthanc, empty, on free ports: `.aet`, `.port`, `.http_port`, `.get()`, `.find()`, `.files()`, …"""
    return start_orthanc()


@pytest.fixture
def storescp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Storescp]:
    """DCMTK's storescp, running: `.aet`, `.port`, and the folder `.received`."""
    program = find_component("storescp", "dcmtk")
    # Without --fork it serves one association at a time and lets the others wait.
    with peers.Storescp(tmp_path_factory.mktemp("storescp"), program, options=("--fork",)) as peer:
        yield peer


@pytest.fixture(scope="session")
def head_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one series: 32 slices of 5 mm, 256 x 256, a synthetic head with a clot. Do not write into it."""
    from ichnode_training.phantom import make_head
    from ichnode_training.phantom_dicom import write_dicom

    folder = tmp_path_factory.mktemp("head_ct")
    write_dicom(make_head(42, ("intraparenchymal",), matrix=256, volumes_ml={"intraparenchymal": 30}), folder)
    return folder


@pytest.fixture(scope="session")
def ct_ich_dicom(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``ct_ich_dicom(49, 50)`` → a folder with a sub-folder (``049``) of DICOM files for each patient of CT-ICH.

    Without arguments, all 53 patients; each is made once a session.
    """
    writer = test_data / "ct_ich" / "to_dicom.py"
    cache = tmp_path_factory.mktemp("ct_ich")

    def folder(*patients: int) -> Path:
        chosen = tmp_path_factory.mktemp("ct_ich_chosen") if patients else cache
        wanted = patients or tuple(sorted({int(p.name[:3]) for p in (test_data / "ct_ich" / "brain").glob("*.jpg")}))
        if absent := {n for n in wanted if not (cache / f"{n:03d}").exists()}:
            # A process of its own: the script belongs to the data and leaves files open, which is an error here.
            command = [sys.executable, "-B", writer, cache, *map(str, sorted(absent))]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for number in patients:
            (chosen / f"{number:03d}").symlink_to(cache / f"{number:03d}", target_is_directory=True)
        return chosen

    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model bundle with random weights that loads in a moment: for everything but what the scores mean."""
    from tests.bundles import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def empty_worklist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file without rows; each test works on a copy."""
    from ichnode.worklist.database import Worklist

    file = tmp_path_factory.mktemp("worklist") / "worklist.sqlite"
    made = Worklist(f"sqlite:///{file}")
    made.migrate()
    made.dispose()
    return file


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A PostgreSQL server (`tests.postgresql`), one for the whole run: `.copied()` gives a worklist of one's own."""
    from tests.postgresql import Postgresql, programs

    found = programs()
    if found is None:
        missing("postgresql is not installed")
    server = Postgresql(found)
    try:
        yield server.start()
    finally:
        server.stop()
