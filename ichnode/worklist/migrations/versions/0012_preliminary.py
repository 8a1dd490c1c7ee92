"""Which notices said that they are preliminary: a channel that keeps records hears when the answer is final."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of what was told before nothing is said again."""
    op.add_column("notices", sa.Column("preliminary", sa.Boolean(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("notices", "preliminary")
