"""Destinations can be paused by a person; the state of a boot's worker is written down."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("destinations", sa.Column("paused_at", sa.String(length=27), nullable=True))
    op.add_column("destinations", sa.Column("paused_by", sa.String(length=64), nullable=True))
    op.add_column("boots", sa.Column("worker_state", sa.String(length=16), nullable=True))
    op.add_column("boots", sa.Column("worker_at", sa.String(length=27), nullable=True))
    op.add_column("boots", sa.Column("worker_device", sa.String(length=64), nullable=True))
