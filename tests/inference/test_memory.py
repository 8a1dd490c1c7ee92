import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from ichnode.inference.memory import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
np.ones(8_000_000, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(8_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_memory_once_taken_is_not_faulted_in_again():
    faults = {
        how: int(
            subprocess.run([sys.executable, "-c", COUNT, how], check=True, capture_output=True, timeout=300).stdout
        )
        for how in ("keep", "default")
    }
    assert faults["keep"] < faults["default"] / 10
