"""The version of the model beside its name and digest; of older answers as far as the model is registered."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("results", sa.Column("model_version", sa.String(length=64), nullable=True))
    op.execute(
        "UPDATE results SET model_version = (SELECT version FROM models WHERE models.digest = results.model_digest)"
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_column("results", "model_version")
