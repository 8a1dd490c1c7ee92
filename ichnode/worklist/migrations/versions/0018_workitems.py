"""Work items that the node performs for others, and the series that they ask for."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TIME = sa.String(length=27)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "workitems",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workitem_uid", sa.String(length=64), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("codes", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", _TIME, nullable=False),
        sa.Column("offered_at", _TIME, nullable=False),
        sa.Column("claimed_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("told", sa.Text(), nullable=True),
        sa.Column("reason_code", sa.String(length=64), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("workitem_uid"),
    )
    op.create_index("workitems_due", "workitems", ["state", "not_before"], unique=False)
    op.create_table(
        "workitem_inputs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workitem_id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("said", sa.Integer(), nullable=True),
        sa.Column("places", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["workitem_id"], ["workitems.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("workitem_id", "study_instance_uid", "series_instance_uid"),
    )
    op.create_index("inputs_of_study", "workitem_inputs", ["study_instance_uid"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("workitem_inputs")
    op.drop_table("workitems")
