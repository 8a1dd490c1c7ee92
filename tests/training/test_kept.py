"""What lies on disk takes no file descriptor while nobody reads it, and damage is told apart from a limit."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ichnode_training.kept import KeptError, keep_array, kept_array
from ichnode_training.plane_writer import PlaneWriter

from .test_planes import ABOUT, scan

SCANS = 60
CHILD = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from ichnode.errors import IchnodeError
from ichnode.inference.bundle import Preprocessing
from ichnode_training import phantom_heads
from ichnode_training.grid import grid_scan
from ichnode_training.planes import open_planes

folder, count = Path(sys.argv[1]), int(sys.argv[2])
how = Preprocessing(6, None, 2.5)
head = (np.zeros((3, 6, 6), bool), np.eye(3, 6))
phantom_heads._made = lambda number, how: (np.full((3, 6, 6), number, np.int16), *head)
there = open_planes(folder)
grid_scan(there[0], replace(how, matrix=4), folder)  # everything that opens once, opens now
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
heads = [grid_scan(one, replace(how, matrix=matrix), folder) for matrix in (6, 4) for one in there]
heads += phantom_heads.phantom_heads(count, how, folder)
told = {"first": [int(head.hu[0].max()) for head in heads], "shapes": sorted({head.hu.shape for head in heads})}
held = []
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    pass
for name, read in (("planes", there[0].hu), ("kept", lambda: heads[-1].hu[0])):
    try:
        read()
    except IchnodeError as error:
        told[name] = error.sentence
del held[:]
print(json.dumps(told))
"""


def test_more_scans_than_files_that_may_be_open(tmp_path):
    with PlaneWriter(tmp_path, ABOUT) as writer:
        for number in range(SCANS):
            writer.add(scan(str(number), str(number), count=4), np.full((4, 6, 6), number, np.int16))
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(SCANS)], capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["first"] == [*range(SCANS)] * 3
    assert told["shapes"] == [[3, 6, 6], [4, 4, 4], [4, 6, 6]]
    assert "Too many files" in told["planes"] and "Too many files" in told["kept"]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None])
def test_what_was_kept_and_is_damaged_or_gone_is_named(tmp_path: Path, content):
    path = tmp_path / "a.npy"
    keep_array(path, np.arange(6).reshape(3, 2))
    kept = kept_array(path)
    assert (len(kept), kept.shape, kept[1].tolist()) == (3, (3, 2), [2, 3])
    np.testing.assert_array_equal(np.array(kept, np.float32), [[0, 1], [2, 3], [4, 5]])
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeptError, match=r"a\.npy is missing or damaged"):
        kept[0]
