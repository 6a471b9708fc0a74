"""Hits of paths and views of items by month, and which months those are."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
} | {"postgresql_with": {"fillfactor": 60}}


def upgrade() -> None:
    for name in ("path", "item"):
        op.create_table(
            f"pathhits_{name}_years",
            sa.Column("year", sa.SmallInteger, primary_key=True, autoincrement=False),
            sa.Column(f"{name}_id", sa.BigInteger, primary_key=True, autoincrement=False),
            *(sa.Column(f"m{month}", sa.BigInteger, nullable=False, server_default="0") for month in range(1, 13)),
            **OPTIONS,
        )
    op.create_table(
        "pathhits_rolled_months",
        sa.Column("month", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("until_day", sa.Integer, nullable=False, server_default="0"),
        **OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("pathhits_rolled_months")
    op.drop_table("pathhits_item_years")
    op.drop_table("pathhits_path_years")
