"""The program as the image and the unit run it: as nobody, everything read-only but the data folder, no capabilities.

Where no container engine is: bubblewrap makes the mounts, setpriv the user. Files, command, health check and stop
signal are those of the image.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import tomli_w

from tests.conftest import find_component, missing
from tests.deploy.test_image import DEPLOY, instructions
from tests.generated import ROOT
from tests.peers import free_port, run_dcmtk, wait_until
from tests.running import RunningNode

NOBODY = 65534
SAID = dict(instructions())


@pytest.fixture
def confined(tmp_path: Path, tiny_bundle: Any) -> list[str]:
    """The command that runs another one as nobody, who may write to /var/lib/ichnode, here `tmp_path`/data, alone."""
    bwrap, setpriv = find_component("bwrap", "bubblewrap"), find_component("setpriv", "util-linux")
    if os.geteuid() != 0:
        missing("only root can run a program as somebody else")
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    visible = ["/usr", "/etc", "/lib", "/lib64", "/bin", "/sbin", str(ROOT), sys.base_prefix, sys.prefix]
    seen = [argument for path in visible if Path(path).exists() for argument in ("--ro-bind", path, path)]
    above = {str(parent) for path in ["/var/lib/x", "/run/x", *visible] for parent in Path(path).parents} - {"/"}
    passable = [argument for path in sorted(above) for argument in ("--perms", "0755", "--dir", path)]
    bundle = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))
    bundle.chmod(0o755)  # temporary folders are root's alone
    settings = tmp_path / "ichnode.toml"
    made = tomllib.loads((DEPLOY / "container" / "ichnode.toml").read_text())
    made["receive"] = {"low_disk_bytes": 0, "disk_floor_bytes": 0}
    made["engine"] = {"bundle": "/run/bundle"}
    made["completeness"] = {"settle_s": 0.3, "quiet_s": 2.0}
    made["node"]["port"], made["web"] = free_port(), {"port": free_port()}
    made["peers"] = [{"aet": "STORESCU", "networks": ["127.0.0.1"]}]
    settings.write_text(tomli_w.dumps(made))
    return [
        bwrap, "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--proc", "/proc", "--dev", "/dev",
        "--perms", "1777", "--tmpfs", "/tmp", *passable, *seen, "--bind", str(data), "/var/lib/ichnode",
        "--ro-bind", str(settings), "/run/ichnode.toml", "--ro-bind", str(bundle), "/run/bundle",
        "--remount-ro", "/", "--chdir", "/var/lib/ichnode", "--clearenv",
        "--setenv", "PATH", f"{sys.prefix}/bin:/usr/bin:/bin", "--setenv", "ICHNODE_CONFIG", "/run/ichnode.toml",
        "--setenv", "PYTHONDONTWRITEBYTECODE", "1",
        setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", "--inh-caps=-all",
        "--bounding-set=-all",
    ]  # fmt: skip


@pytest.fixture
def image(confined, tmp_path) -> Iterator[subprocess.Popen[str]]:
    """The image's entry point, running."""
    command = [*json.loads(SAID["ENTRYPOINT"]), *json.loads(SAID["CMD"])]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen([*confined, *command], stdout=log, stderr=log) as process,
    ):
        yield process
        process.kill()


def inside(confined: list[str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*confined, *command], capture_output=True, text=True, timeout=300, check=False)


def test_a_head_is_answered_from_a_read_only_tree(image, confined, tmp_path, head_ct, component):
    check = json.loads(SAID["HEALTHCHECK"].partition("CMD ")[2])
    wait_until(lambda: image.poll() is not None or inside(confined, *check).returncode == 0, 120)
    assert image.poll() is None, (tmp_path / "log").read_text()
    program = psutil.Process(image.pid).children(recursive=True)
    assert {one.uids().effective for one in program if one.name() != "bwrap"} == {NOBODY}
    settings = tomllib.loads((tmp_path / "ichnode.toml").read_text())
    run_dcmtk(component("storescu", "dcmtk"), "+sd", "-aec", "ICHAI", "127.0.0.1", settings["node"]["port"], head_ct)
    node = RunningNode(tmp_path)
    wait_until(node.settled, 180)
    (series,) = node.series()
    assert series["results"][0]["verdict"] in ("positive", "negative")
    node.worklist.dispose()
    serving = next(one for one in program if one.name() != "bwrap" and one.cmdline()[-1] == "serve")
    serving.send_signal(getattr(signal, SAID["STOPSIGNAL"]))
    wait_until(lambda: image.poll() is not None, 120)
    assert image.returncode == 0
    assert '"event": "node.stopped"' in (tmp_path / "log").read_text()
    assert inside(confined, *check).returncode == 1, "nobody is there any more"


def test_it_cannot_write_elsewhere(confined, tmp_path):
    for path in (f"{ROOT}/x", f"{sys.prefix}/x", "/etc/x", "/x"):
        assert inside(confined, "touch", path).returncode != 0, path
    assert inside(confined, "touch", "/var/lib/ichnode/x", "/tmp/x").returncode == 0
