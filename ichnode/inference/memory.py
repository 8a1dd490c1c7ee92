"""Let the C library keep the memory it has: page faults, not arithmetic, are what slows inference on a CPU down.

glibc gives every block over 128 KiB back to the kernel when it is freed, so each activation of each slice is mapped,
zeroed and unmapped again: 2.1 million page faults against 0.08 million for 32 slices, and 2.5 slices a second against
6.3. The price is that the process stays as large as its largest batch; batches of one to four slices keep that small.
"""

from __future__ import annotations

import ctypes
import gc
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST = 1 << 30


def keep_memory() -> bool:
    """Tell glibc to serve large blocks from its heap and not to shrink it; whether that could be done.

    The setting is the process's own and lasts. Other C libraries and systems are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def give_back() -> None:
    """Return to the system what preparing a network took and nothing needs any more, with glibc."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
