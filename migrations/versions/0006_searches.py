"""Searches: what was searched for, by hour and day, what found nothing apart."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
KEY = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
APPENDED: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
OPTIONS = APPENDED | {"postgresql_with": {"fillfactor": 60}}
SUMS = ("searches", "counted", "results")


def counter(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def key(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "pathhits_searches",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("search_key", KEY, nullable=False, unique=True),
        sa.Column("search", sa.String(500), nullable=False),
        sa.Column("entity_type", sa.String(24), nullable=False, server_default=sa.text("''")),
        sa.Column("failed", sa.SmallInteger, nullable=False, server_default="0"),
        counter("search_count"),
        counter("counted"),
        counter("results"),
        counter("last_at"),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_searches_count", "pathhits_searches", ["failed", "search_count"])
    for period, more in (("hour", ()), ("day", ("visitors",))):
        table = f"pathhits_search_{period}s"
        columns = [counter(name) for name in (*SUMS, *more)]
        op.create_table(table, key("search_id", sa.BigInteger), key(period, sa.Integer), *columns, **OPTIONS)
        op.create_index(f"ix_{table}_{period}", table, [period])
    op.create_table(
        "pathhits_search_visitors",
        key("search_id", sa.BigInteger),
        key("day", sa.Integer),
        key("visitor", sa.BigInteger),
        **APPENDED,
    )
    op.create_index("ix_pathhits_search_visitors_day", "pathhits_search_visitors", ["day"])


def downgrade() -> None:
    for name in ("visitors", "days", "hours"):
        op.drop_table(f"pathhits_search_{name}")
    op.drop_table("pathhits_searches")
