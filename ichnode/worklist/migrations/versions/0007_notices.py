"""Notices to channels, in the same outbox as the objects for destinations."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, what a study knows of it, and deliveries of it."""
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(length=20), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("result_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("called", sa.String(length=16), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("present", sa.JSON(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("corrects_id", sa.Integer(), nullable=True),
        sa.Column("escalates_id", sa.Integer(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("escalate_at", sa.String(length=27), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"]),
        sa.ForeignKeyConstraint(["result_id"], ["results.id"]),
        sa.ForeignKeyConstraint(["corrects_id"], ["notices.id"]),
        sa.ForeignKeyConstraint(["escalates_id"], ["notices.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uid"),
        sa.UniqueConstraint("study_id", "channel", "ordinal"),
        sa.UniqueConstraint("escalates_id", "step"),
    )
    op.create_index("notices_to_escalate", "notices", ["escalate_at"])
    op.create_index("notices_of_result", "notices", ["result_id"])
    op.add_column("studies", sa.Column("institution", sa.Text(), nullable=True))
    op.add_column("studies", sa.Column("notices_due_at", sa.String(length=27), nullable=True))
    op.create_index("studies_to_tell", "studies", ["notices_due_at"])
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.alter_column("report_id", existing_type=sa.Integer(), nullable=True)
        deliveries.add_column(sa.Column("notice_id", sa.Integer(), nullable=True))
        deliveries.create_foreign_key("deliveries_notice", "notices", ["notice_id"], ["id"])
        deliveries.create_unique_constraint("deliveries_one_per_notice", ["notice_id"])


def downgrade() -> None:
    """Drop them; notices that still wait are lost."""
    op.execute("DELETE FROM deliveries WHERE report_id IS NULL")
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.drop_constraint("deliveries_one_per_notice", type_="unique")
        deliveries.drop_constraint("deliveries_notice", type_="foreignkey")
        deliveries.drop_column("notice_id")
        deliveries.alter_column("report_id", existing_type=sa.Integer(), nullable=False)
    op.drop_index("studies_to_tell", table_name="studies")
    op.drop_column("studies", "notices_due_at")
    op.drop_column("studies", "institution")
    op.drop_index("notices_of_result", table_name="notices")
    op.drop_index("notices_to_escalate", table_name="notices")
    op.drop_table("notices")
