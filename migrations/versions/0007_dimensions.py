"""What hits are told apart by besides their label: values of dimensions, with hits by day, and by path and day."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
} | {"postgresql_with": {"fillfactor": 60}}


def upgrade() -> None:
    op.create_table(
        "pathhits_values",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column(
            "value_key",
            sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb"),
            nullable=False,
            unique=True,
        ),
        sa.Column("dimension", sa.String(16), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.Column("hit_count", sa.BigInteger, nullable=False, server_default="0"),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_values_dimension", "pathhits_values", ["dimension"])
    for table, owners in (("pathhits_value_days", ()), ("pathhits_path_value_days", ("path_id",))):
        op.create_table(
            table,
            *(sa.Column(owner, sa.BigInteger, primary_key=True, autoincrement=False) for owner in owners),
            sa.Column("dimension_id", sa.SmallInteger, primary_key=True, autoincrement=False),
            sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("value_id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("hits", sa.BigInteger, nullable=False, server_default="0"),
            **OPTIONS,
        )
        op.create_index(f"ix_{table}_value", table, ["value_id", "day"])
    op.create_index("ix_pathhits_path_value_days_day", "pathhits_path_value_days", ["day"])


def downgrade() -> None:
    for table in ("pathhits_path_value_days", "pathhits_value_days", "pathhits_values"):
        op.drop_table(table)
