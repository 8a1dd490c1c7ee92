"""How often the service of a work item has refused its end."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("workitems", sa.Column("refused", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Drop it: all are tried as often anew."""
    op.drop_column("workitems", "refused")
