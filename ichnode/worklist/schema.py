"""Tables. Times are UTC, stored as ISO text with microseconds so that they sort and read the same everywhere."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text, false
from sqlalchemy.schema import UniqueConstraint

from ichnode.worklist.utc import UtcTime

metadata = MetaData()


boots = Table(
    "boots",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("version", String(32), nullable=False),
    Column("worker_state", String(16)),  # loading, ready, ended; of a pool, unreachable, no worker
    Column("worker_at", UtcTime),  # since when
    Column("worker_device", String(64)),
    Column("place", String(64)),  # where the node runs; one at a time in each
    Column("seen_at", UtcTime),  # when it last said that it is there
)

associations = Table(
    "associations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("boot_id", String(36), ForeignKey("boots.id"), nullable=False),
    Column("address", String(64), nullable=False),
    Column("calling_aet", String(16), nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("ending", String(16)),  # released, aborted, lost
    Column("receiver", Integer),  # which process of the node has it; null is the first
    Index("associations_open", "boot_id", "ended_at"),
    Index("associations_of_aet", "calling_aet", "opened_at"),
)

studies = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, unique=True),
    Column("patient_id", Text, nullable=False),
    Column("patient_name", Text, nullable=False),
    Column("patient_birth_date", String(16), nullable=False),
    Column("patient_sex", String(16), nullable=False),
    Column("accession_number", Text, nullable=False),
    Column("study_date", String(16), nullable=False),
    Column("study_time", String(32), nullable=False),
    Column("description", Text, nullable=False),
    Column("referring_physician", Text, nullable=False),
    Column("station_name", Text, nullable=False),
    Column("chosen_series_id", Integer),
    Column("first_seen_at", UtcTime, nullable=False),
    Column("read_at", UtcTime),  # signed off by a person; null again when a later result differs
    Column("read_by", String(64)),
    Column("read_verdict", String(16)),
    Column("institution", Text),
    Column("ordered_at", UtcTime),  # fetched by an order (backfill, priors): nobody waits for it or is told of it
    Column("urgent_because", String(16)),  # peer, request, workitem; null: it is not
    Column("notices_due_at", UtcTime),  # when to look whether channels have to be told; null: nothing is new
    Index("studies_to_tell", "notices_due_at"),
    Index("studies_by_accession", "accession_number"),
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, ForeignKey("studies.id"), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("received", Integer, nullable=False),
    Column("conflicts", Integer, nullable=False),
    Column("first_slice_at", UtcTime, nullable=False),
    Column("last_slice_at", UtcTime, nullable=False),
    Column("longest_pause_s", Float, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("waiting_for", Text),
    Column("expected", Integer),
    Column("expected_at", UtcTime),
    Column("closed_at", UtcTime),
    Column("closed_because", Text),
    Column("missing", Text),
    Column("reason_code", String(64)),
    Column("reason", Text),
    Column("preference", JSON),
    Column("description", Text),
    Column("purged_at", UtcTime),  # when its images were removed
    UniqueConstraint("study_id", "series_instance_uid"),
    Index("series_due", "state", "due_at"),
    Index("series_by_uid", "series_instance_uid"),
    Index("series_by_age", "state", "last_slice_at"),
)

instances = Table(
    "instances",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("series_id", Integer, ForeignKey("series.id"), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("file", String(160), nullable=False),
    Column("slices", JSON, nullable=False),
    Column("conflict", Boolean, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("association_id", Integer, ForeignKey("associations.id")),
    UniqueConstraint("sop_instance_uid", "digest"),
    Index("instances_of_series", "series_id"),
    Index("instances_by_file", "file"),
    Index("instances_of_association", "association_id", "series_id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("series_id", Integer, ForeignKey("series.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("kind", String(16), nullable=False),  # analyse, illustrate (a worker), report (why not analysed)
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease_owner", String(80)),
    Column("lease_until", UtcTime),
    Column("not_before", UtcTime, nullable=False),
    Column("queued_at", UtcTime, nullable=False),
    Column("urgency", Integer, nullable=False, server_default="1"),  # core.urgency
    Column("passed_over", Boolean, nullable=False, server_default=false()),  # though it has waited too long
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("reason_code", String(64)),
    Column("reason", Text),
    Column("error", Text),
    UniqueConstraint("series_id", "revision", "kind"),
    Index("jobs_in_turn", "kind", "state", "urgency", "id", "not_before"),
    Index("jobs_leased", "state", "lease_until"),
)

results = Table(
    "results",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Integer, ForeignKey("jobs.id"), nullable=False),
    Column("series_id", Integer, ForeignKey("series.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("preliminary", Boolean, nullable=False),
    Column("any_score", Float),
    Column("outcome", JSON, nullable=False),
    Column("model_name", String(64)),
    Column("model_version", String(64)),
    Column("model_digest", String(64)),
    Column("seconds", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("superseded_at", UtcTime),
    Column("heat_file", String(160)),  # of what was found; null where nothing was
    Column("retraction", String(8)),  # due, done, failed: its rejection note
    Column("retracted_at", UtcTime),
    Column("retracted_because", String(16)),
    Column("retraction_remark", Text),
    Index("results_of_series", "series_id", "superseded_at"),
    Index("results_to_reject", "retraction"),
    Index("results_by_heat", "heat_file"),
)

reports = Table(
    "reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("result_id", Integer, ForeignKey("results.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False, unique=True),
    Column("file", String(160), nullable=False),
    Column("size", Integer, nullable=False),
    Index("reports_of_result", "result_id"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(20), nullable=False, unique=True),  # drawn; says nothing of the study
    Column("study_id", Integer, ForeignKey("studies.id"), nullable=False),
    Column("result_id", Integer, ForeignKey("results.id"), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("ordinal", Integer, nullable=False),  # counts what a channel is told of a study
    Column("kind", String(16), nullable=False),  # alert, correction, escalation
    Column("called", String(16), nullable=False),
    Column("scores", JSON, nullable=False),
    Column("present", JSON, nullable=False),
    Column("wanted", Boolean, nullable=False),  # asked for by the channel's rule, not only the end of such a call
    Column("preliminary", Boolean),  # it says so; null where it is older than that
    Column("corrects_id", Integer, ForeignKey("notices.id")),
    Column("escalates_id", Integer, ForeignKey("notices.id")),
    Column("step", Integer),
    Column("created_at", UtcTime, nullable=False),
    Column("escalate_at", UtcTime),  # when somebody hears that it is still unread
    UniqueConstraint("study_id", "channel", "ordinal"),
    UniqueConstraint("escalates_id", "step"),
    Index("notices_to_escalate", "escalate_at"),
    Index("notices_of_result", "result_id"),
)

commitments = Table(
    "commitments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("transaction_uid", String(64), nullable=False, unique=True),
    Column("destination", String(64), nullable=False),
    Column("instances", Integer, nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("answered_at", UtcTime),  # the last time, where it is answered in parts
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("report_id", Integer, ForeignKey("reports.id")),  # an object for a destination, or
    Column("notice_id", Integer, ForeignKey("notices.id"), unique=True),  # a notice for a channel
    Column("destination", String(64), nullable=False),  # or the channel
    Column("state", String(16), nullable=False),
    Column("urgency", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("retry_since", UtcTime, nullable=False),  # give-up counts from here; `retry` moves it
    Column("sender", String(80)),
    Column("delivered_at", UtcTime),
    Column("commitment_id", Integer, ForeignKey("commitments.id")),  # the last request that names it
    Column("commitment_requests", Integer, nullable=False, default=0),
    Column("committed_at", UtcTime),
    Column("status", Integer),
    Column("error", Text),
    UniqueConstraint("report_id", "destination"),
    Index("deliveries_due", "destination", "state", "not_before"),
    Index("deliveries_by_state", "state"),
)

destinations = Table(
    "destinations",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("open_until", UtcTime),  # circuit breaker: nothing is sent before this; a C-ECHO closes it
    Column("failures", Integer, nullable=False),
    Column("last_success_at", UtcTime),
    Column("last_error", Text),
    Column("paused_at", UtcTime),  # by a person: nothing is sent until it is resumed
    Column("paused_by", String(64)),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("result_id", Integer, ForeignKey("results.id"), nullable=False),
    Column("reader", String(64), nullable=False),
    Column("agrees", Boolean, nullable=False),
    Column("comment", Text, nullable=False),
    Column("given_at", UtcTime, nullable=False),
    Column("superseded_at", UtcTime),  # said anew, or taken back
    Index("feedback_of_result", "result_id", "superseded_at"),
)

feedback_labels = Table(
    "feedback_labels",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("feedback_id", Integer, ForeignKey("feedback.id"), nullable=False),
    Column("name", String(32), nullable=False),
    Column("present", Boolean, nullable=False),
    Column("called", Boolean),  # what the model said of the same; null where it said nothing
    Column("sop_instance_uid", String(64)),  # null: of the whole scan
    Column("frame", Integer),
    Index("labels_of_feedback", "feedback_id"),
)

journal = Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("study_id", Integer),
    Column("series_id", Integer),
    Column("event", String(64), nullable=False),
    Column("detail", JSON, nullable=False),
    Index("journal_of_study", "study_id", "id"),
)
