"""Listeners, and which of them is to be called with which event."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
EVENT_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
} | {"postgresql_with": {"fillfactor": 60}}


def upgrade() -> None:
    op.create_table(
        "pathhits_listeners",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("pattern", sa.String(64), nullable=False),
        sa.Column("active", sa.SmallInteger, nullable=False, server_default="1"),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "pathhits_deliveries",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("event_id", EVENT_ID, nullable=False),
        sa.Column("listener", sa.String(255), nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("state", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("taken_until", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("lost", sa.Integer, nullable=False, server_default="0"),
        sa.UniqueConstraint("event_id", "listener", name="uq_pathhits_deliveries"),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_deliveries_due", "pathhits_deliveries", ["state", "due_at"])


def downgrade() -> None:
    op.drop_table("pathhits_deliveries")
    op.drop_table("pathhits_listeners")
