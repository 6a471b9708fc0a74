"""Views of items: totals, hours, days."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
KEY = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
} | {"postgresql_with": {"fillfactor": 60}}


def counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def owner() -> sa.Column[int]:
    return sa.Column("item_id", sa.BigInteger, primary_key=True, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "pathhits_items",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("item_key", KEY, nullable=False, unique=True),
        sa.Column("item", sa.String(255), nullable=False),
        sa.Column("item_type", sa.String(24), nullable=False),
        counter("view_count"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_items_item", "pathhits_items", ["item"])
    op.create_index("ix_pathhits_items_item_type", "pathhits_items", ["item_type"])
    op.create_table(
        "pathhits_item_hours",
        owner(),
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        counter("views"),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_item_hours_hour", "pathhits_item_hours", ["hour"])
    op.create_table(
        "pathhits_item_days",
        owner(),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        counter("views"),
        counter("visitors"),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_item_days_day", "pathhits_item_days", ["day"])


def downgrade() -> None:
    for table in ("pathhits_item_days", "pathhits_item_hours", "pathhits_items"):
        op.drop_table(table)
