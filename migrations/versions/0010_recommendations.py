"""Items that the same visitors viewed, and how far a job has read the log; its rows by visitor."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

EVENT_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
} | {"postgresql_with": {"fillfactor": 60}}


def upgrade() -> None:
    op.create_table(
        "pathhits_also_viewed",
        sa.Column("item_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("others", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "pathhits_positions",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("position", EVENT_ID, nullable=False),
        **OPTIONS,
    )
    some = sa.text("visitor <> 0")
    op.create_index(
        "ix_pathhits_events_visitor",
        "pathhits_events",
        ["visitor", "moment"],
        postgresql_where=some,
        sqlite_where=some,
    )


def downgrade() -> None:
    op.drop_index("ix_pathhits_events_visitor", "pathhits_events")
    op.drop_table("pathhits_positions")
    op.drop_table("pathhits_also_viewed")
