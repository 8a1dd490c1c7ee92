"""How urgent a study is, and the order in which its jobs are claimed."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_ORDERED = (
    "UPDATE jobs SET urgency = 2 WHERE series_id IN "
    "(SELECT series.id FROM series JOIN studies ON studies.id = series.study_id WHERE studies.ordered_at IS NOT NULL)"
)


def upgrade() -> None:
    """Add the columns and the index; what an order has fetched stays behind all else."""
    op.add_column("studies", sa.Column("urgent_because", sa.String(length=16), nullable=True))
    op.add_column("workitems", sa.Column("is_urgent", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("jobs", sa.Column("urgency", sa.Integer(), server_default="1", nullable=False))
    op.add_column("jobs", sa.Column("passed_over", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute(_ORDERED)
    op.drop_index("jobs_claimable", "jobs")
    op.create_index("jobs_in_turn", "jobs", ["kind", "state", "urgency", "id", "not_before"])


def downgrade() -> None:
    """Drop them: all studies are as urgent as they came."""
    op.drop_index("jobs_in_turn", "jobs")
    op.create_index("jobs_claimable", "jobs", ["kind", "state", "not_before"])
    op.drop_column("jobs", "passed_over")
    op.drop_column("jobs", "urgency")
    op.drop_column("workitems", "is_urgent")
    op.drop_column("studies", "urgent_because")
