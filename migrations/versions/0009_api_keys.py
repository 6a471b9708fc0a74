"""Keys of the API."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEY = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
MOMENT = sa.DateTime(timezone=True)
OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def upgrade() -> None:
    op.create_table(
        "pathhits_api_keys",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("key_hash", KEY, nullable=False, unique=True),
        sa.Column("scopes", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        **OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("pathhits_api_keys")
