"""The systemd unit, judged by systemd itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import find_component
from tests.generated import ROOT

UNIT = ROOT / "deploy" / "systemd" / "ichnode.service"


def judged(*arguments: object) -> subprocess.CompletedProcess[str]:
    analyze = find_component("systemd-analyze", "systemd")
    return subprocess.run([analyze, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def unit(tmp_path):
    """The unit with this environment's program in place of /opt/ichnode, which systemd-analyze looks for."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/ichnode/bin", str(Path(sys.executable).parent)))
    return path


def test_systemd_understands_every_line(unit):
    done = judged("verify", "--man=no", unit)
    assert (done.returncode, done.stderr) == (0, "")
    extended = unit.with_name("ichnode.service.d")
    extended.mkdir()
    (extended / "cuda.conf").write_text(UNIT.with_name("cuda.conf").read_text())
    done = judged("verify", "--man=no", unit)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_line_that_is_wrong_is_noticed(unit):
    unit.write_text(unit.read_text().replace("ProtectSystem=", "ProtectSytem="))
    assert "ProtectSytem" in judged("verify", "--man=no", unit).stderr


def test_it_is_hardened(unit):
    exposure = judged("security", "--offline=true", "--threshold=20", "--no-pager", unit)
    assert exposure.returncode == 0, exposure.stdout
    unit.write_text("\n".join(line for line in unit.read_text().splitlines() if not line.startswith("SystemCall")))
    assert judged("security", "--offline=true", "--threshold=20", "--no-pager", unit).returncode == 1
