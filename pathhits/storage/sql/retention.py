"""Deletes what has been kept long enough, in small steps; each is one short transaction, and may be the last."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, select, tuple_

from pathhits.storage.sql import tables
from pathhits.storage.sql.dialects.upserts import Upsert, upsert
from pathhits.storage.sql.tables import IMPORTED, PRUNED
from pathhits.storage.sql.transactions import write

_SUMS = ("hits", "requests", "paths", "events", "errors")
_FOLD = Upsert(tables.ledger, ("generation",), fixed=("applied_at", "seconds"), add=_SUMS)


class Retention:
    """Raises `StoreUnavailable` or `NotMigrated`; the steps before that are done."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prune_events(self, before: int, limit: int) -> int:
        """Delete at most ``limit`` events from before that moment (ms), the oldest first; how many it were.

        The oldest first, so that what is left is always all there was since some moment.
        """

        def work(connection: Connection) -> int:
            c = tables.events.c
            # Two statements: MariaDB knows no LIMIT inside of IN.
            oldest = select(c.id).where(c.moment < before).order_by(c.moment).limit(limit)
            ids = connection.scalars(oldest).all()
            if ids:
                connection.execute(delete(tables.events).where(c.id.in_(ids)))
            return len(ids)

        return write(self._engine, work)

    def prune_search_visitors(self, before: int, limit: int) -> int:
        """Forget who searched for what before that UTC day, of at most ``limit`` queries; how many rows it were."""

        def work(connection: Connection) -> int:
            v = tables.search_visitors.c
            old = select(v.search_id, v.day).where(v.day < before).order_by(v.day, v.search_id).limit(limit)
            ids = sorted({row.search_id for row in connection.execute(old)})
            if not ids:
                return 0
            return connection.execute(
                delete(tables.search_visitors).where(v.day < before, v.search_id.in_(ids))
            ).rowcount

        return write(self._engine, work)

    def prune_values(self, before: int, limit: int) -> int:
        """Delete at most ``limit`` values of paths from before that UTC day (since 1970), the oldest first."""

        def work(connection: Connection) -> int:
            c = tables.path_value_days.c
            key = (c.path_id, c.dimension_id, c.day, c.value_id)
            # Two statements: MariaDB knows no LIMIT inside of IN.
            rows = connection.execute(select(*key).where(c.day < before).order_by(c.day).limit(limit)).all()
            if rows:
                named = tuple_(*key).in_([tuple(row) for row in rows])
                connection.execute(delete(tables.path_value_days).where(named))
            return len(rows)

        return write(self._engine, work)

    def fold_ledger(self, before: datetime, live: Collection[str], limit: int) -> int:
        """Replace at most ``limit`` rows of generations taken in before that moment by their sums; how many it were.

        ``live`` are the generations that Redis holds. A row is what keeps its generation from being taken in again, so
        it goes only when its generation is neither among them nor younger than `LEDGER_DAYS`: sync deletes a generation
        from Redis once the row is there, and ids are never used again. Only a Redis that comes back from a snapshot
        older than that could bring one back. The sums stay as one row, so that they agree with the counters.
        """

        def work(connection: Connection) -> int:
            c = tables.ledger.c
            old = select(c.generation, c.applied_at, *(c[name] for name in _SUMS)).where(c.applied_at < before)
            # A chunk of an import is known by its row for good: its file may be imported again at any time.
            old = old.where(c.generation != PRUNED, c.generation.not_like(f"{IMPORTED}%"))
            old = old.order_by(c.applied_at).limit(limit + len(live)).with_for_update()
            rows = [row for row in connection.execute(old) if row.generation not in live][:limit]
            if rows:
                upsert(connection, _FOLD, [_sum(rows)])
                connection.execute(delete(tables.ledger).where(c.generation.in_([row.generation for row in rows])))
            return len(rows)

        return write(self._engine, work)


def _sum(rows: list[Any]) -> tuple[Any, ...]:
    sums = (min(sum(getattr(row, name) for row in rows), tables.COUNTER_MAX) for name in _SUMS)
    return PRUNED, rows[-1].applied_at, 0, *sums
