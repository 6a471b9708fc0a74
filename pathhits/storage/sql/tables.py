"""The tables, as SQLAlchemy Core. `path_counters` is the one users read; all others are named ``pathhits_…``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import mysql

#: Where Alembic notes how far our tables are; the host's own version table stays the host's.
VERSION_TABLE = "pathhits_alembic_version"
#: Largest value of a counter; what goes beyond is clamped here, logged, and shown by ``pathhits doctor``.
COUNTER_MAX = 2**63 - 1
#: Value from which a counter is shown as near its maximum.
COUNTER_NEAR_MAX = COUNTER_MAX // 10 * 9

metadata = MetaData()

_BigId = BigInteger().with_variant(Integer, "sqlite")
# A hash of the label's bytes: no collation can merge two paths (MariaDB's default merges /A and /a).
_Key = LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
    # Room in each page for the next versions of its rows, so that an update touches no index.
    "postgresql_with": {"fillfactor": 60},
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, stored in UTC; databases without time zones get and give it as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _counter(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


#: All hits of each path since the beginning.
path_counters = Table(
    "path_counters",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("path_key", _Key, nullable=False, unique=True),
    Column("path", String(255), nullable=False, index=True),
    _counter("hit_count"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    **_OPTIONS,
)

#: Hits of each path by UTC hour (whole hours since 1970).
path_hours = Table(
    "pathhits_path_hours",
    metadata,
    Column("path_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    _counter("hits"),
    Index("ix_pathhits_path_hours_hour", "hour"),
    **_OPTIONS,
)

#: Hits and visitors of each path by UTC day (whole days since 1970).
path_days = Table(
    "pathhits_path_days",
    metadata,
    Column("path_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    _counter("hits"),
    _counter("visitors"),
    Index("ix_pathhits_path_days_day", "day"),
    **_OPTIONS,
)

#: All views of each item since the beginning.
items = Table(
    "pathhits_items",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("item_key", _Key, nullable=False, unique=True),
    Column("item", String(255), nullable=False, index=True),
    Column("item_type", String(24), nullable=False, index=True),
    _counter("view_count"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    **_OPTIONS,
)

#: Views of each item by UTC hour (whole hours since 1970).
item_hours = Table(
    "pathhits_item_hours",
    metadata,
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    _counter("views"),
    Index("ix_pathhits_item_hours_hour", "hour"),
    **_OPTIONS,
)

#: Views and visitors of each item by UTC day (whole days since 1970).
item_days = Table(
    "pathhits_item_days",
    metadata,
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    _counter("views"),
    _counter("visitors"),
    Index("ix_pathhits_item_days_day", "day"),
    **_OPTIONS,
)

#: Sums over the whole site by UTC hour: "hits", "requests", "drops:<reason>", "views:<type>" and
#: "refusals:<type>:<reason>".
site_hours = Table(
    "pathhits_site_hours",
    metadata,
    Column("counter", String(64), primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    _counter("total"),
    **_OPTIONS,
)

#: Visitors of the whole site by UTC day.
site_days = Table(
    "pathhits_site_days",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    _counter("visitors"),
    **_OPTIONS,
)

#: The generations SQL has taken in, each once: its unique key is the lock between syncs.
ledger = Table(
    "pathhits_ledger",
    metadata,
    Column("generation", String(64), primary_key=True),
    Column("applied_at", UtcDateTime, nullable=False, index=True),
    _counter("hits"),
    _counter("requests"),
    _counter("paths"),
    _counter("errors"),
    Column("seconds", Float, nullable=False),
    **_OPTIONS,
)

#: What a generation held and SQL could not take, with the reason, for a person to look at.
dead_letters = Table(
    "pathhits_dead_letters",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("generation", String(64), nullable=False, index=True),
    Column("field", Text, nullable=False),
    Column("amount", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    **_OPTIONS,
)


@dataclass(frozen=True)
class Family:
    """Three tables that count one kind of thing: in all, by hour, and by day with visitors."""

    totals: Table
    hours: Table
    days: Table

    @property
    def key(self) -> Column[Any]:
        """The hash by which a thing is found."""
        return self._column("_key")

    @property
    def name(self) -> Column[Any]:
        """What the thing is called."""
        return self.totals.c[self.key.name.removesuffix("_key")]

    @property
    def total(self) -> Column[Any]:
        """All that was ever counted."""
        return self._column("_count")

    @property
    def hourly(self) -> Column[Any]:
        """What was counted in an hour."""
        return self.hours.c[self.total.name.removesuffix("_count") + "s"]

    @property
    def daily(self) -> Column[Any]:
        """What was counted on a day."""
        return self.days.c[self.hourly.name]

    @property
    def owner(self) -> str:
        """The column of hours and days that holds the thing's id."""
        return f"{self.name.name}_id"

    def _column(self, suffix: str) -> Column[Any]:
        return next(column for column in self.totals.c if column.name.endswith(suffix))


PATHS = Family(path_counters, path_hours, path_days)
ITEMS = Family(items, item_hours, item_days)
