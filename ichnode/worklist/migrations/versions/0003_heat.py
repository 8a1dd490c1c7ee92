"""Where the heat maps of a result lie."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; results that were made before have no maps to show."""
    op.add_column("results", sa.Column("heat_file", sa.String(length=160), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("results", "heat_file")
