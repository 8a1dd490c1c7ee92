"""The sentences of an outcome, all ASCII, so that they can be encoded in every character set of DICOM."""

from __future__ import annotations

import unicodedata

from ichnode.core.findings import Finding, Outcome, Verdict
from ichnode.reporting.facts import ModelFacts

NOTICE = "Research use only. Investigational AI output, not verified by a radiologist."
UNREAD = (
    "No network has read these images and nobody has looked at them for this report: hemorrhage is neither found nor "
    "excluded."
)
UNCALIBRATED = "Scores are outputs of the network from 0 to 1, not calibrated probabilities."

NEW_LINE = "\r\n"
"""Between the lines of one text (PS3.5 6.1.3)."""

_ANSWER = {
    Verdict.POSITIVE: "Intracranial hemorrhage suspected",
    Verdict.NEGATIVE: "No intracranial hemorrhage detected",
    Verdict.NOT_ANALYSED: "Not analysed",
}
_PLAIN = str.maketrans(
    {"°": " deg", "–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "µ": "u", "μ": "u", "±": "+/-", "≥": ">=",
     "≤": "<=", "’": "'", "‘": "'", "“": '"', "”": '"', "\\": "/"}  # a backslash separates values (PS3.5 6.2)
)  # fmt: skip


def ascii_only(text: str) -> str:
    """Return `text` in printable ASCII on one line; what has no counterpart becomes a question mark."""
    plain = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    bare = "".join(c for c in plain if not unicodedata.combining(c)).encode("ascii", "replace").decode("ascii")
    return " ".join("".join(c if c.isprintable() else " " for c in bare).split())


def verdict_sentence(outcome: Outcome) -> str:
    """Return the answer in one sentence: what was found, or why nothing was looked for."""
    if outcome.reason is not None:
        return ascii_only(f"{_ANSWER[outcome.verdict]} ({outcome.reason.code}): {outcome.reason.sentence}")
    kinds = [f.name for f in outcome.findings if f.present and f.name != "any"]
    listed = f" ({', '.join(kinds)})" if kinds else ""
    return f"{_ANSWER[outcome.verdict]}{listed}."


def headline(outcome: Outcome) -> str:
    """Return the answer in one sentence that begins with PRELIMINARY where slices were missing."""
    return f"{'PRELIMINARY: ' if outcome.preliminary else ''}{verdict_sentence(outcome)}"


def remarks(outcome: Outcome) -> list[str]:
    """Return what the reader has to know besides the scores: what is missing, the warnings, the notice."""
    said = []
    if outcome.missing is not None:
        said.append(ascii_only(f"Preliminary: the series was incomplete. Missing: {outcome.missing}"))
    said += [ascii_only(f"Warning ({w.code}): {w.sentence}") for w in outcome.warnings]
    if outcome.findings:
        said.append(UNCALIBRATED)
    return [*said, NOTICE]


def describe(outcome: Outcome, model: ModelFacts | None) -> list[str]:
    """Return the outcome as ASCII sentences, the verdict first.

    Then the scores with their thresholds, the key images (counted from 1 in geometric order), the model, what is
    missing, the warnings, and last that this is research use only and not verified by a radiologist.
    """
    said = [verdict_sentence(outcome)]
    said += [_score_sentence(finding, len(outcome.scores)) for finding in outcome.findings]
    if model is not None:
        said.append(ascii_only(f"Model: {model.name} {model.version}, weights sha256:{model.digest[:12]}."))
    return said + remarks(outcome)


def _score_sentence(finding: Finding, slices: int) -> str:
    answer = "present" if finding.present else "absent"
    said = f"{finding.name}: {answer}, score {finding.score:.3f} (threshold {finding.threshold:.3f})"
    if finding.key_slices:
        numbers = ", ".join(str(index + 1) for index in finding.key_slices)
        said += f", key image{'s' if len(finding.key_slices) > 1 else ''} {numbers} of {slices}"
    return said + "."
