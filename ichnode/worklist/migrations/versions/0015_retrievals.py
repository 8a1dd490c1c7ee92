"""What is fetched from the archive, orders to fetch, alarms; studies that nobody waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TIME = sa.String(length=27)


def upgrade() -> None:
    """Create the tables and the column."""
    op.create_table(
        "retrieval_orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=True),
        sa.Column("first_date", sa.String(length=8), nullable=False),
        sa.Column("last_date", sa.String(length=8), nullable=False),
        sa.Column("next_date", sa.String(length=8), nullable=False),
        sa.Column("per_hour", sa.Integer(), nullable=False),
        sa.Column("at_once", sa.Integer(), nullable=False),
        sa.Column("hours", sa.String(length=11), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "retrievals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("said", sa.Integer(), nullable=True),
        sa.Column("gave", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", _TIME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("boot_id", sa.String(length=36), nullable=True),
        sa.Column("reason_code", sa.String(length=64), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["retrieval_orders.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("study_instance_uid", "series_instance_uid"),
    )
    op.create_index("retrievals_due", "retrievals", ["state", "urgency", "not_before"], unique=False)
    op.create_index("retrievals_of_order", "retrievals", ["order_id", "state"], unique=False)
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("raised_at", _TIME, nullable=False),
        sa.Column("cleared_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("alarms_open", "alarms", ["kind", "cleared_at"], unique=False)
    op.add_column("studies", sa.Column("ordered_at", _TIME, nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("studies", "ordered_at")
    op.drop_table("alarms")
    op.drop_table("retrievals")
    op.drop_table("retrieval_orders")
