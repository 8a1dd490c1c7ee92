"""Which patients judge models and which teach them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "lab_patients",
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("joined_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("patient"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("lab_patients")
