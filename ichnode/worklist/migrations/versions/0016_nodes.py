"""Several nodes share a worklist, and several processes receive: where each runs, when it was seen, which has what."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("associations", sa.Column("receiver", sa.Integer(), nullable=True))
    op.add_column("boots", sa.Column("place", sa.String(length=64), nullable=True))
    op.add_column("boots", sa.Column("seen_at", sa.String(length=27), nullable=True))


def downgrade() -> None:
    """Drop them: every other boot is taken for dead again."""
    op.drop_column("boots", "seen_at")
    op.drop_column("boots", "place")
    op.drop_column("associations", "receiver")
