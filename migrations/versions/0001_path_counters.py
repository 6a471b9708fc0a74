"""Hits of paths: totals, hours, days, the site's sums, the ledger, dead letters."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
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


def moment(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def upgrade() -> None:
    op.create_table(
        "path_counters",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("path_key", KEY, nullable=False, unique=True),
        sa.Column("path", sa.String(255), nullable=False),
        counter("hit_count"),
        moment("created_at"),
        moment("updated_at"),
        **OPTIONS,
    )
    op.create_index("ix_path_counters_path", "path_counters", ["path"])
    op.create_table(
        "pathhits_path_hours",
        sa.Column("path_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        counter("hits"),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_path_hours_hour", "pathhits_path_hours", ["hour"])
    op.create_table(
        "pathhits_path_days",
        sa.Column("path_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        counter("hits"),
        counter("visitors"),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_path_days_day", "pathhits_path_days", ["day"])
    op.create_table(
        "pathhits_site_hours",
        sa.Column("counter", sa.String(64), primary_key=True),
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        counter("total"),
        **OPTIONS,
    )
    op.create_table(
        "pathhits_site_days",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        counter("visitors"),
        **OPTIONS,
    )
    op.create_table(
        "pathhits_ledger",
        sa.Column("generation", sa.String(64), primary_key=True),
        moment("applied_at"),
        counter("hits"),
        counter("requests"),
        counter("paths"),
        counter("errors"),
        sa.Column("seconds", sa.Float, nullable=False),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_ledger_applied_at", "pathhits_ledger", ["applied_at"])
    op.create_table(
        "pathhits_dead_letters",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("generation", sa.String(64), nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        moment("created_at"),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_dead_letters_generation", "pathhits_dead_letters", ["generation"])


def downgrade() -> None:
    for table in (
        "pathhits_dead_letters",
        "pathhits_ledger",
        "pathhits_site_days",
        "pathhits_site_hours",
        "pathhits_path_days",
        "pathhits_path_hours",
        "path_counters",
    ):
        op.drop_table(table)
