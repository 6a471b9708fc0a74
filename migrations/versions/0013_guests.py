"""The index of events by user holds users only, where the database can leave others out: most events are of guests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

NAME, TABLE, COLUMNS = "ix_pathhits_events_item_user", "pathhits_events", ["item_id", "user_id", "moment"]
SOME = sa.text("user_id <> ''")


def upgrade() -> None:
    if op.get_context().dialect.name in ("postgresql", "sqlite"):
        op.drop_index(NAME, TABLE)
        op.create_index(NAME, TABLE, COLUMNS, postgresql_where=SOME, sqlite_where=SOME)


def downgrade() -> None:
    if op.get_context().dialect.name in ("postgresql", "sqlite"):
        op.drop_index(NAME, TABLE)
        op.create_index(NAME, TABLE, COLUMNS)
