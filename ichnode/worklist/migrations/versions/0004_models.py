"""The registry of models."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "models",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("registered_at", sa.String(length=27), nullable=False),
        sa.Column("activated_at", sa.String(length=27), nullable=True),
        sa.Column("retired_at", sa.String(length=27), nullable=True),
        sa.Column("judgement", sa.JSON(), nullable=True),
        sa.Column("judged_at", sa.String(length=27), nullable=True),
        sa.Column("forced_because", sa.Text(), nullable=True),
        sa.Column("rejected_because", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    for name, state in (("models_one_active", "active"), ("models_one_shadow", "shadow")):
        only = sa.text(f"state = '{state}'")
        op.create_index(name, "models", ["state"], unique=True, sqlite_where=only, postgresql_where=only)


def downgrade() -> None:
    """Drop the table."""
    op.drop_index("models_one_shadow", table_name="models")
    op.drop_index("models_one_active", table_name="models")
    op.drop_table("models")
