"""Deliveries are found by their listener: what waits for one without reading the queue of another."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NEW, OLD, TABLE = "ix_pathhits_deliveries_listener", "ix_pathhits_deliveries_due", "pathhits_deliveries"


def upgrade() -> None:
    op.create_index(NEW, TABLE, ["listener", "state", "due_at"])
    op.drop_index(OLD, TABLE)


def downgrade() -> None:
    op.create_index(OLD, TABLE, ["state", "due_at"])
    op.drop_index(NEW, TABLE)
