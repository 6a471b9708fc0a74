"""How far each popularity sink has got, and an index by which the items are found that changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
} | {"postgresql_with": {"fillfactor": 60}}


def upgrade() -> None:
    op.create_table(
        "pathhits_sinks",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("changed_at", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("item_id", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("sent", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("error", sa.Text, nullable=False),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_items_updated_at", "pathhits_items", ["updated_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_pathhits_items_updated_at", "pathhits_items")
    op.drop_table("pathhits_sinks")
