"""``ichnode show STUDY``: everything that is known of one study."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ichnode.cli.options import config_option, in_words, settings_from

if TYPE_CHECKING:
    from ichnode.steps.node import Node


_URGENT = {
    "peer": "its sender is marked urgent in [[peers]]", "request": "its images say STAT or HIGH",
    "workitem": "a work item of high priority asks for it",
}  # fmt: skip


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.option("--report", "with_report", is_flag=True, help="Add the text of the current Structured Report.")
@click.argument("study")
def command(config: Path | None, data: Path | None, as_json: bool, with_report: bool, study: str) -> int:
    """Show series, revisions, verdicts, scores, deliveries and journal of STUDY.

    STUDY is the number in the worklist, a Study or Series Instance UID, or an accession number.

    Example: ichnode show 3 --report
    """
    settings = settings_from(config, data)
    from ichnode.steps.node import existing_node
    from ichnode.worklist import audit, views

    node = existing_node(settings)
    with node.worklist.write() as tx:
        studies = [views.study(tx, found) for found in views.find_study(tx, study)]
        for one in studies:
            audit.record(tx, node.now(), audit.terminal().name, "study.viewed", one["id"])
    if not studies:
        click.echo("No such study in the worklist; `ichnode worklist` lists what there is.", err=True)
        return 1
    if as_json:
        click.echo(json.dumps(studies, indent=2, ensure_ascii=False))
        return 0
    for facts in studies:
        _print_study(facts)
        if with_report:
            _print_reports(node, facts)
    return 0


def _print_study(facts: dict[str, Any]) -> None:
    click.echo(f"Study {facts['study_instance_uid']}  accession {facts['accession_number'] or '-'}")
    click.echo(
        f"  patient {facts['patient_name']} ({facts['patient_id']}), {facts['study_date']}, {facts['description']}"
    )
    if facts["urgent_because"]:
        click.echo(f"  urgent: {_URGENT[facts['urgent_because']]}")
    for series in facts["series"]:
        chosen = "  <- read for this study" if series["id"] == facts["chosen_series_id"] else ""
        click.echo(f"\n  Series {series['series_instance_uid']} ({series['description'] or 'no description'}){chosen}")
        click.echo(f"    {series['state']}, revision {series['revision']}, {series['received']} images")
        if series["purged_at"]:
            click.echo(f"    images removed on {series['purged_at'][:10]}")
        if series["reason_code"]:
            click.echo(f"    not analysed: {series['reason_code']}: {series['reason']}")
        if series["missing"]:
            click.echo(f"    PRELIMINARY, missing: {series['missing']}")
        if series["waiting_for"] and series["state"] == "receiving":
            click.echo(f"    waiting: {series['waiting_for']}, next look {series['due_at']}")
        for job in series["jobs"]:
            if job["error"]:
                click.echo(f"    job {job['kind']} {job['state']}: {job['error']}")
        for result in series["results"]:
            _print_result(series, result)
    if facts["notices"]:
        click.echo("\n  Notices")
    for notice in facts["notices"]:
        _print_notice(notice)
    click.echo("\n  Journal (UTC)")
    for line in facts["journal"]:
        detail = " ".join(f"{k}={v}" for k, v in line["detail"].items() if v is not None)
        click.echo(f"    {line['at'][:23]}  {line['event']:<20} {detail}")


def _print_notice(notice: dict[str, Any]) -> None:
    about = f" corrects {notice['corrects']}" if notice["corrects"] else ""
    about += f" step {notice['step']} of {notice['escalates']}" if notice["escalates"] else ""
    error = f": {notice['error']}" if notice["error"] else ""
    click.echo(
        f"    {notice['created_at'][:19]}  {notice['channel']}: {notice['kind']} {notice['called']} "
        f"{notice['uid']}{about}, {in_words(notice['state'])}, {notice['attempts']} attempt(s){error}"
    )


def _timeline(series: dict[str, Any], result: dict[str, Any]) -> str:
    """Return where the time went, for the result of the revision that the series is at."""
    from ichnode.core.timeline import stages

    def moment(text: str | None) -> datetime | None:
        return datetime.fromisoformat(text) if text else None

    started = next((job["started_at"] for job in series["jobs"] if job["id"] == result["job_id"]), None)
    sent = [d["delivered_at"] for r in result["reports"] for d in r["deliveries"] if d["delivered_at"]]
    spent = stages(
        datetime.fromisoformat(series["last_slice_at"]), moment(series["closed_at"]), moment(started),
        datetime.fromisoformat(result["created_at"]), moment(min(sent, default=None)), result["seconds"],
    )  # fmt: skip
    listed = ", ".join(f"{name} {value:.2f} s" for name, value in spent.items())
    return f"{sum(spent.values()):.2f} s from the last slice: {listed}"


def _print_result(series: dict[str, Any], result: dict[str, Any]) -> None:
    stale = " (superseded)" if result["superseded_at"] else ""
    click.echo(f"    result {result['verdict']}, revision {result['revision']}{stale}")
    if result["retraction"]:
        remark = f": {result['retraction_remark']}" if result["retraction_remark"] else ""
        failed = ", but no rejection note could be made" if result["retraction"] == "failed" else ""
        click.echo(f"      RETRACTED {result['retracted_at'][:19]}, {result['retracted_because']}{remark}{failed}")
    for finding in result["outcome"]["findings"]:
        mark = "PRESENT" if finding["score"] >= finding["threshold"] else "absent"
        click.echo(f"      {finding['name']:<18} {finding['score']:.3f} (threshold {finding['threshold']:.3f}) {mark}")
    for warning in result["outcome"]["warnings"]:
        click.echo(f"      warning {warning['code']}: {warning['sentence']}")
    if result["outcome"]["reason"]:
        click.echo(f"      reason {result['outcome']['reason']['code']}: {result['outcome']['reason']['sentence']}")
    if result["revision"] == series["revision"]:
        click.echo(f"      {_timeline(series, result)}")
    seconds = ", ".join(f"{stage} {value:.2f} s" for stage, value in result["seconds"].items())
    click.echo(f"      computed: {seconds}")
    if result["model_digest"]:
        named = " ".join(filter(None, (result["model_name"], result["model_version"])))
        click.echo(f"      model {named}, digest {result['model_digest'][:12]}")
    for report in result["reports"]:
        click.echo(f"      {report['kind']} {report['sop_instance_uid']}")
        for sent in report["deliveries"]:
            error = f": {sent['error']}" if sent["error"] else ""
            state = in_words(sent["state"])
            click.echo(f"        {sent['destination']}: {state}, {sent['attempts']} attempt(s){error}")


def _print_reports(node: Node, facts: dict[str, Any]) -> None:
    from ichnode.reporting.text import render_text

    for series in facts["series"]:
        for result in series["results"]:
            for report in result["reports"]:
                if series["purged_at"]:
                    click.echo(f"\n{report['kind']}: its file was removed on {series['purged_at'][:10]}.")
                elif not result["superseded_at"]:
                    click.echo(f"\n{render_text(node.spool.path(report['file']))}")
