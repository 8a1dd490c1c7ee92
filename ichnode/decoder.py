"""The entry of a child that decodes compressed pixels, ``python -m ichnode.decoder BYTES``; see `dicom.decoding`.

Reads requests as lines of JSON from standard input, and ends with it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from ichnode.dicom.pixels import read_hounsfield
from ichnode.errors import BadObject


def main(memory_bytes: int) -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the node's; it ends us by closing the pipe
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a decoder prints is no answer
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        file, frames = json.loads(line)
        head: dict[str, Any]
        try:
            planes, warned = read_hounsfield(Path(file), frames)
        except BadObject as error:
            head, body = {"code": error.code, "sentence": error.sentence}, b""
        except (MemoryError, OSError) as error:
            sentence = f"The pixel data of a slice cannot be decoded: {type(error).__name__}."
            head, body = {"code": "PIXELS_UNREADABLE", "sentence": sentence}, b""
        else:
            head, body = (
                {"shape": planes.shape, "warned": [[one.code, one.sentence] for one in warned]},
                planes.tobytes(),
            )
        answers.write(json.dumps(head).encode() + b"\n")
        answers.write(body)
        answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
