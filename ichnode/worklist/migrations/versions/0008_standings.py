"""Where each study stands in the worklist; filled from the facts when the schema is brought up to date."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TIME = sa.String(length=27)
_ORDER = ["rank", "minus_score", "age_key", "study_id"]


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "standings",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("minus_score", sa.Float(), nullable=False),
        sa.Column("age_key", sa.Float(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("study_date", sa.String(length=16), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("any_score", sa.Float(), nullable=True),
        sa.Column("preliminary", sa.Boolean(), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("reason_code", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("deliveries", sa.JSON(), nullable=False),
        sa.Column("notices", sa.JSON(), nullable=False),
        sa.Column("arrived_at", _TIME, nullable=False),
        sa.Column("answered_at", _TIME, nullable=True),
        sa.Column("delivered_at", _TIME, nullable=True),
        sa.Column("search", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"]),
        sa.PrimaryKeyConstraint("study_id"),
    )
    op.create_index("standings_in_order", "standings", [*_ORDER, "status", "study_date"], unique=False)
    op.create_index("standings_by_status", "standings", ["status", *_ORDER, "study_date"], unique=False)
