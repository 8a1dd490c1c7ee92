"""Indexes for what would read a large table whole."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEXES = (
    ("associations_of_aet", "associations", ["calling_aet", "opened_at"]),
    ("deliveries_by_state", "deliveries", ["state"]),
    ("instances_of_association", "instances", ["association_id", "series_id"]),
    ("jobs_leased", "jobs", ["state", "lease_until"]),
    ("series_by_age", "series", ["state", "last_slice_at"]),
    ("shadow_results_of_result", "shadow_results", ["result_id"]),
    ("standings_answered", "standings", ["answered_at"]),
    ("studies_by_accession", "studies", ["accession_number"]),
)


def upgrade() -> None:
    """Add them."""
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns)


def downgrade() -> None:
    """Drop them."""
    for name, table, _ in INDEXES:
        op.drop_index(name, table)
