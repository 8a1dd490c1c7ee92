"""Analyse a path without a server: the node's own rules, network and report, results beside the caller's files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ichnode import __version__
from ichnode.config import Settings
from ichnode.core.eligibility import SelectionPolicy
from ichnode.core.findings import Outcome, Verdict
from ichnode.core.identity import derived_uid, digest_of
from ichnode.core.reasons import reason_of
from ichnode.dicom.dataset import header_dataset
from ichnode.errors import BadObject
from ichnode.inference.engine import Engine
from ichnode.reporting.facts import Answer, DeviceFacts, ModelFacts, ReportIdentity
from ichnode.reporting.formats import FORMATS
from ichnode.steps.explain import ExplainedSeries, explain
from ichnode.steps.interpret import interpret
from ichnode.steps.load import load_engine
from ichnode.steps.node import utc_now
from ichnode.steps.register import bundle_in_use
from ichnode.steps.report import model_facts
from ichnode.storage.atomic import write_durable


@dataclass(frozen=True, slots=True)
class AnalysedSeries:
    """One series, its outcome, the model that scored it (None when nothing did), and the report file that says it."""

    series: ExplainedSeries
    outcome: Outcome
    model: ModelFacts | None
    report: Path


def analyse_path(
    settings: Settings, path: Path, out: Path, told: Callable[[str], None] = lambda _: None
) -> tuple[AnalysedSeries, ...]:
    """Analyse every study below `path`; one Structured Report file per series goes into `out`.

    Parameters
    ----------
    told : callable
        Told in words what is being done, for a progress line.
    """
    limits = settings.selection
    told("reading headers")
    explanation = explain(path, SelectionPolicy(min_slices=limits.min_slices, min_extent_mm=limits.min_extent_mm))
    engine = None
    if any(series.reason is None for series in explanation.series):
        told("loading the model")
        engine = load_engine(settings, bundle_in_use(settings))
    analysed = []
    for number, series in enumerate(explanation.series, 1):
        told(f"series {number} of {len(explanation.series)}")
        outcome = _outcome(engine, series)
        model = model_facts(engine.bundle) if engine and outcome.verdict is not Verdict.NOT_ANALYSED else None
        report = _write_report(settings, model, series, outcome, out)
        analysed.append(AnalysedSeries(series, outcome, model, report))
    return tuple(analysed)


def _outcome(engine: Engine | None, series: ExplainedSeries) -> Outcome:
    if series.reason is not None or engine is None:
        return Outcome(Verdict.NOT_ANALYSED, reason=series.reason)
    try:
        return interpret(engine, series.look, series.files).outcome
    except BadObject as error:
        return Outcome(Verdict.NOT_ANALYSED, reason=reason_of(error.code, error.sentence))


def _write_report(
    settings: Settings, model: ModelFacts | None, series: ExplainedSeries, outcome: Outcome, out: Path
) -> Path:
    content_at = utc_now()
    parts = (series.study.series_instance_uid, "command line", content_at.isoformat())
    answer = Answer(
        header=header_dataset(series.files[0]),
        evidence=tuple(dict.fromkeys((s.sop_class_uid, s.sop_instance_uid) for s in series.look.slices)),
        outcome=outcome,
        model=model,
        device=DeviceFacts(
            observer_uid=derived_uid("device", "command line"), name=settings.node.aet, model="ichnode",
            serial="command line", software_version=__version__, station_aet=settings.node.aet,
        ),
    )  # fmt: skip
    form = FORMATS["sr"]
    identity = ReportIdentity(
        derived_uid("sr", *parts), derived_uid("sr-series", *parts), form.series_number, 1, content_at, 1
    )
    content = form.build(answer, identity, [])
    assert content is not None
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"sr-{digest_of(series.study.series_instance_uid.encode())[:12]}.dcm"
    write_durable(file, content)
    return file
