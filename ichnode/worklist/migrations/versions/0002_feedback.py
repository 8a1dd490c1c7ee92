"""What readers say of results, and who read a study when."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and columns."""
    for name, length in (("read_at", 27), ("read_by", 64), ("read_verdict", 16)):
        op.add_column("studies", sa.Column(name, sa.String(length=length), nullable=True))
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("result_id", sa.Integer(), nullable=False),
        sa.Column("reader", sa.String(length=64), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("given_at", sa.String(length=27), nullable=False),
        sa.Column("superseded_at", sa.String(length=27), nullable=True),
        sa.ForeignKeyConstraint(
            ["result_id"],
            ["results.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("feedback_of_result", "feedback", ["result_id", "superseded_at"], unique=False)
    op.create_table(
        "feedback_labels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("feedback_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("called", sa.Boolean(), nullable=True),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("frame", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["feedback_id"],
            ["feedback.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("labels_of_feedback", "feedback_labels", ["feedback_id"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("labels_of_feedback", table_name="feedback_labels")
    op.drop_table("feedback_labels")
    op.drop_index("feedback_of_result", table_name="feedback")
    op.drop_table("feedback")
    for name in ("read_verdict", "read_by", "read_at"):
        op.drop_column("studies", name)
