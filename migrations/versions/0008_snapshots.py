"""Snapshots of what a dashboard shows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def upgrade() -> None:
    op.create_table(
        "pathhits_snapshots",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("moment", sa.BigInteger, nullable=False),
        sa.Column("content", LONG_TEXT, nullable=False),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_snapshots_moment", "pathhits_snapshots", ["moment"])


def downgrade() -> None:
    op.drop_table("pathhits_snapshots")
