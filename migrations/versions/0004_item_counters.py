"""Counters of items that events add to (downloads, likes ...): in all, by hour and by day."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
} | {"postgresql_with": {"fillfactor": 60}}
TABLES = {
    "pathhits_item_counters": ("total", ""),
    "pathhits_item_counter_hours": ("amount", "hour"),
    "pathhits_item_counter_days": ("amount", "day"),
}


def upgrade() -> None:
    for table, (amount, period) in TABLES.items():
        op.create_table(
            table,
            sa.Column("item_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("counter", sa.String(48), primary_key=True),
            *([sa.Column(period, sa.Integer, primary_key=True, autoincrement=False)] if period else []),
            sa.Column(amount, sa.BigInteger, nullable=False, server_default="0"),
            **OPTIONS,
        )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
