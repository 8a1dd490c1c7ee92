"""Series are purged: when, and which of their files are still to be unlinked."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, the index and the table."""
    op.add_column("series", sa.Column("purged_at", sa.String(length=27), nullable=True))
    op.create_index("results_by_heat", "results", ["heat_file"])
    op.create_table(
        "removals",
        sa.Column("file", sa.String(length=160), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("file"),
    )
    op.create_index("removals_of_series", "removals", ["series_id"])


def downgrade() -> None:
    """Drop them; what is marked and not yet unlinked stays on the disk, and is adopted as new."""
    op.drop_table("removals")
    op.drop_index("results_by_heat", "results")
    op.drop_column("series", "purged_at")
