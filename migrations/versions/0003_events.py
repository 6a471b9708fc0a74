"""The event log; visitors, visits and heat of items; when an item became hot or cooled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
EVENT_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def words(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False, server_default=sa.text("''"))


def flag(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.SmallInteger, nullable=False, server_default="0")


def added() -> Iterator[tuple[str, sa.Column[Any]]]:
    """What older tables gain."""
    for name in ("visitors", "visits", "seconds", "timed_views"):
        yield "pathhits_items", counter(name)
    yield "pathhits_items", sa.Column("first_seen", sa.BigInteger)
    yield "pathhits_items", sa.Column("last_seen", sa.BigInteger)
    yield "pathhits_items", counter("recent_views")
    yield "pathhits_items", counter("recent_at")
    yield "pathhits_items", flag("is_hot")
    yield "pathhits_items", sa.Column("hot_changed_at", sa.BigInteger)
    for name in ("visits", "seconds", "timed_views"):
        yield "pathhits_item_days", counter(name)
    yield "pathhits_ledger", counter("events")


def upgrade() -> None:
    op.create_table(
        "pathhits_events",
        sa.Column("id", EVENT_ID, primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        counter("item_id"),
        counter("visitor"),
        words("user_id", 64),
        words("user_agent", 512),
        words("referrer", 255),
        sa.Column("properties", sa.Text, nullable=False),
        sa.Column("moment", sa.BigInteger, nullable=False),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_events_item_moment", "pathhits_events", ["item_id", "moment"])
    op.create_index("ix_pathhits_events_item_visitor", "pathhits_events", ["item_id", "visitor", "moment"])
    op.create_index("ix_pathhits_events_item_user", "pathhits_events", ["item_id", "user_id", "moment"])
    op.create_index("ix_pathhits_events_moment", "pathhits_events", ["moment"])
    op.create_table(
        "pathhits_hot_changes",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("item_id", sa.BigInteger, nullable=False),
        sa.Column("moment", sa.BigInteger, nullable=False),
        flag("is_hot"),
        counter("recent_views"),
        **OPTIONS,
    )
    op.create_index("ix_pathhits_hot_changes_item", "pathhits_hot_changes", ["item_id", "moment"])
    for table, column in added():
        op.add_column(table, column)
    # There is no log of the views before: what the days have is the best that is known.
    op.execute(
        "UPDATE pathhits_items SET visitors = COALESCE("
        "(SELECT SUM(d.visitors) FROM pathhits_item_days d WHERE d.item_id = pathhits_items.id), 0)"
    )
    op.create_index("ix_pathhits_items_is_hot", "pathhits_items", ["is_hot", "recent_views"])
    op.create_index("ix_pathhits_items_recent_at", "pathhits_items", ["recent_at"])


def downgrade() -> None:
    op.drop_index("ix_pathhits_items_recent_at", "pathhits_items")
    op.drop_index("ix_pathhits_items_is_hot", "pathhits_items")
    for table, column in added():
        op.drop_column(table, column.name)
    op.drop_table("pathhits_hot_changes")
    op.drop_table("pathhits_events")
