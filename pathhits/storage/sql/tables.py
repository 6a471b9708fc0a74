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
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import mysql

#: Where Alembic notes how far our tables are; the host's own version table stays the host's.
VERSION_TABLE = "pathhits_alembic_version"
#: Largest value of a counter; what goes beyond is clamped here, logged, and shown by ``pathhits doctor``.
COUNTER_MAX = 2**63 - 1
#: Value from which a counter is shown as near its maximum.
COUNTER_NEAR_MAX = COUNTER_MAX // 10 * 9

#: States of a delivery: it waits for its next attempt, it was made, it failed for good.
DUE, DONE, DEAD = range(3)

#: What the ledger calls the sum of the rows that it no longer keeps.
PRUNED = "(pruned)"
#: How the ledger calls the chunks of an import, which it keeps.
IMPORTED = "import:"

metadata = MetaData()

_BigId = BigInteger().with_variant(Integer, "sqlite")
# A hash of the label's bytes: no collation can merge two paths (MariaDB's default merges /A and /a).
_Key = LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
_EventId = LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
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
# Rows that are written once and never changed.
_APPENDED: dict[str, Any] = {name: value for name, value in _OPTIONS.items() if name != "postgresql_with"}


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


def _words(name: str, length: int) -> Column[str]:
    return Column(name, String(length), nullable=False, server_default=text("''"))


def _flag(name: str) -> Column[int]:
    """0 or 1: databases write booleans and their defaults each in a way of its own."""
    return Column(name, SmallInteger, nullable=False, server_default="0")


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

#: The columns of a table of years, one a month.
MONTHS = tuple(f"m{month}" for month in range(1, 13))

#: Hits of each path by calendar year (UTC), a column for each month: what long lists read instead of the days, as far
#: as `rolled_months` says that it holds them.
path_years = Table(
    "pathhits_path_years",
    metadata,
    Column("year", SmallInteger, primary_key=True, autoincrement=False),
    Column("path_id", BigInteger, primary_key=True, autoincrement=False),
    *map(_counter, MONTHS),
    **_OPTIONS,
)

#: Which days the tables of years hold: of each month (whole months since 1970) those before ``until_day``; 0 for none.
rolled_months = Table(
    "pathhits_rolled_months",
    metadata,
    Column("month", Integer, primary_key=True, autoincrement=False),
    Column("until_day", Integer, nullable=False, server_default="0"),
    **_OPTIONS,
)

#: What hits are told apart by besides their label: each value of each dimension, with all hits that have it.
values = Table(
    "pathhits_values",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("value_key", _Key, nullable=False, unique=True),
    Column("dimension", String(16), nullable=False, index=True),
    Column("value", String(255), nullable=False),
    _counter("hit_count"),
    **_OPTIONS,
)

#: Hits with each value by UTC day. ``dimension_id`` is the place of the dimension in `pathhits.settings.DIMENSIONS`.
value_days = Table(
    "pathhits_value_days",
    metadata,
    Column("dimension_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("value_id", BigInteger, primary_key=True, autoincrement=False),
    _counter("hits"),
    Index("ix_pathhits_value_days_value", "value_id", "day"),
    **_OPTIONS,
)

#: Hits of each path with each value by UTC day: what one value says of all paths, and one path of all values.
path_value_days = Table(
    "pathhits_path_value_days",
    metadata,
    Column("path_id", BigInteger, primary_key=True, autoincrement=False),
    Column("dimension_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("value_id", BigInteger, primary_key=True, autoincrement=False),
    _counter("hits"),
    Index("ix_pathhits_path_value_days_value", "value_id", "day"),
    Index("ix_pathhits_path_value_days_day", "day"),
    **_OPTIONS,
)

#: What each item had since the beginning: views, visitors (each once a salt period), visits, and how hot it is.
#: ``first_seen``, ``last_seen``, ``recent_at`` and ``hot_changed_at`` are milliseconds since 1970, UTC. ``recent_at``
#: is when ``recent_views`` were counted, 0 when the item has changed since.
items = Table(
    "pathhits_items",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("item_key", _Key, nullable=False, unique=True),
    Column("item", String(255), nullable=False, index=True),
    Column("item_type", String(24), nullable=False, index=True),
    _counter("view_count"),
    _counter("visitors"),
    _counter("visits"),
    _counter("seconds"),
    _counter("timed_views"),
    Column("first_seen", BigInteger),
    Column("last_seen", BigInteger),
    _counter("recent_views"),
    _counter("recent_at"),
    _flag("is_hot"),
    Column("hot_changed_at", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_pathhits_items_is_hot", "is_hot", "recent_views"),
    Index("ix_pathhits_items_recent_at", "recent_at"),
    Index("ix_pathhits_items_updated_at", "updated_at", "id"),
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

#: Views, visitors and visits of each item by UTC day (whole days since 1970).
item_days = Table(
    "pathhits_item_days",
    metadata,
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    _counter("views"),
    _counter("visitors"),
    _counter("visits"),
    _counter("seconds"),
    _counter("timed_views"),
    Index("ix_pathhits_item_days_day", "day"),
    **_OPTIONS,
)

#: Views of each item by calendar year, as `path_years` has hits.
item_years = Table(
    "pathhits_item_years",
    metadata,
    Column("year", SmallInteger, primary_key=True, autoincrement=False),
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    *map(_counter, MONTHS),
    **_OPTIONS,
)

#: Everything that happened, one row an event. ``item_id`` is an id of `items`, 0 for none; ``visitor`` the keyed hash
#: of the visitor, 0 for none; ``user_id`` a keyed hash; ``properties`` JSON or empty; ``moment`` milliseconds since
#: 1970, UTC. A sync looks up (item, visitor), (item, user) serves the history of one user, and
#: (visitor) what else a visitor viewed.
events = Table(
    "pathhits_events",
    metadata,
    Column("id", _EventId, primary_key=True),
    Column("name", String(64), nullable=False),
    _counter("item_id"),
    _counter("visitor"),
    _words("user_id", 64),
    _words("user_agent", 512),
    _words("referrer", 255),
    Column("properties", Text, nullable=False),
    Column("moment", BigInteger, nullable=False),
    Index("ix_pathhits_events_item_moment", "item_id", "moment"),
    Index("ix_pathhits_events_item_visitor", "item_id", "visitor", "moment"),
    # Of users only, as most events are of guests, and each would cost one more page.
    Index(
        "ix_pathhits_events_item_user",
        "item_id",
        "user_id",
        "moment",
        postgresql_where=text("user_id <> ''"),
        sqlite_where=text("user_id <> ''"),
    ),
    Index("ix_pathhits_events_moment", "moment"),
    # Of visitors only: the look-up of a sync, which does not say so, goes by item and visitor.
    Index(
        "ix_pathhits_events_visitor",
        "visitor",
        "moment",
        postgresql_where=text("visitor <> 0"),
        sqlite_where=text("visitor <> 0"),
    ),
    **_APPENDED,
)

#: Each time an item became hot or cooled; ``moment`` is milliseconds since 1970, UTC.
hot_changes = Table(
    "pathhits_hot_changes",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("item_id", BigInteger, nullable=False),
    Column("moment", BigInteger, nullable=False),
    _flag("is_hot"),
    _counter("recent_views"),
    Index("ix_pathhits_hot_changes_item", "item_id", "moment"),
    **_APPENDED,
)

#: What events added to the counters of each item (``likes``, ``downloads`` ...) since the beginning; an event may take
#: something back, so that an amount may be below 0.
item_counters = Table(
    "pathhits_item_counters",
    metadata,
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    Column("counter", String(48), primary_key=True),
    _counter("total"),
    **_OPTIONS,
)

#: The same by UTC hour (whole hours since 1970).
item_counter_hours = Table(
    "pathhits_item_counter_hours",
    metadata,
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    Column("counter", String(48), primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    _counter("amount"),
    **_OPTIONS,
)

#: The same by UTC day (whole days since 1970).
item_counter_days = Table(
    "pathhits_item_counter_days",
    metadata,
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    Column("counter", String(48), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    _counter("amount"),
    **_OPTIONS,
)

#: The listeners that some process made known, with the events they want; ``seen_at`` is when one did last (ms).
listeners = Table(
    "pathhits_listeners",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("pattern", String(64), nullable=False),
    Column("active", SmallInteger, nullable=False, server_default="1"),
    Column("seen_at", BigInteger, nullable=False),
    **_OPTIONS,
)

#: Which listener is called with which event, and how far that is; moments are milliseconds since 1970, UTC.
deliveries = Table(
    "pathhits_deliveries",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("event_id", _EventId, nullable=False),
    Column("listener", String(255), nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _flag("state"),
    Column("error", Text, nullable=False),
    _counter("taken_until"),
    Column("lost", Integer, nullable=False, server_default="0"),
    UniqueConstraint("event_id", "listener", name="uq_pathhits_deliveries"),
    Index("ix_pathhits_deliveries_listener", "listener", "state", "due_at"),
    **_OPTIONS,
)

#: What was searched for, each query apart by what was looked for (``entity_type``) and by whether it ``failed``: found
#: nothing. ``results`` were found by ``counted`` of the searches; ``last_at`` is milliseconds since 1970, UTC.
searches = Table(
    "pathhits_searches",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("search_key", _Key, nullable=False, unique=True),
    Column("search", String(500), nullable=False),
    _words("entity_type", 24),
    _flag("failed"),
    _counter("search_count"),
    _counter("counted"),
    _counter("results"),
    _counter("last_at"),
    Index("ix_pathhits_searches_count", "failed", "search_count"),
    **_OPTIONS,
)

#: The same by UTC hour (whole hours since 1970).
search_hours = Table(
    "pathhits_search_hours",
    metadata,
    Column("search_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    _counter("searches"),
    _counter("counted"),
    _counter("results"),
    Index("ix_pathhits_search_hours_hour", "hour"),
    **_OPTIONS,
)

#: The same by UTC day (whole days since 1970), with visitors.
search_days = Table(
    "pathhits_search_days",
    metadata,
    Column("search_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    _counter("searches"),
    _counter("counted"),
    _counter("results"),
    _counter("visitors"),
    Index("ix_pathhits_search_days_day", "day"),
    **_OPTIONS,
)

#: Who searched for what on the last UTC days, so that each visitor counts once a day; keyed hashes.
search_visitors = Table(
    "pathhits_search_visitors",
    metadata,
    Column("search_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("visitor", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_pathhits_search_visitors_day", "day"),
    **_APPENDED,
)

#: What a dashboard shows, as JSON, computed every half hour; ``moment`` is milliseconds since 1970, UTC.
snapshots = Table(
    "pathhits_snapshots",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("moment", BigInteger, nullable=False),
    Column("content", Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
    Index("ix_pathhits_snapshots_moment", "moment"),
    **_APPENDED,
)

#: For each item the others of its type that its visitors viewed too: JSON, a list of id, likeness and visitors in
#: common, or empty; ``made_at`` is when the log was read for it (ms).
also_viewed = Table(
    "pathhits_also_viewed",
    metadata,
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    Column("others", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    **_OPTIONS,
)

#: The id of the last event that a job has looked at, by the job's name; and which database this is, see `origins`.
positions = Table(
    "pathhits_positions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("position", _EventId, nullable=False),
    **_OPTIONS,
)

#: How far each popularity sink has got in the order in which items changed: all up to ``changed_at`` (microseconds
#: since 1970, UTC) and ``item_id`` was sent. ``failures`` are those in a row.
sinks = Table(
    "pathhits_sinks",
    metadata,
    Column("name", String(64), primary_key=True),
    _counter("changed_at"),
    _counter("item_id"),
    _counter("sent"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("error", Text, nullable=False),
    **_OPTIONS,
)

#: Sums over the whole site by UTC hour: "hits", "requests", "drops:<reason>", "views:<type>",
#: "refusals:<type>:<reason>", "shown:<type>:<reason>" and "clicked:<type>:<reason>".
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
    _counter("events"),
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

#: The keys of the API; ``key_hash`` is the SHA-256 of one, ``scopes`` what it may do, joined by commas.
api_keys = Table(
    "pathhits_api_keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("key_hash", _Key, nullable=False, unique=True),
    Column("scopes", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    **_APPENDED,
)


@dataclass(frozen=True)
class Family:
    """Tables that count one kind of thing: in all, by hour, by day with visitors, and by month where lists are long."""

    totals: Table
    hours: Table
    days: Table
    years: Table | None = None

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
        one = self.total.name.removesuffix("_count")
        return self.hours.c[f"{one}es" if one.endswith("ch") else f"{one}s"]

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


PATHS = Family(path_counters, path_hours, path_days, path_years)
ITEMS = Family(items, item_hours, item_days, item_years)
SEARCHES = Family(searches, search_hours, search_days)
