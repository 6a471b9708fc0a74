"""Rebuilds from the log what it can say of items: visitors, by day and in all, and when they were seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from pathhits.core.retention import DAY_MS, first_kept_day
from pathhits.events import VIEWED
from pathhits.storage.sql import tables
from pathhits.storage.sql.transactions import explained, write


@dataclass(frozen=True, slots=True)
class Recounted:
    """One step: the last id it got to (None at the end), items looked at, corrected, with other views than logged."""

    last: int | None
    items: int = 0
    corrected: int = 0
    views_differ: int = 0


class Recount:
    """Raises `StoreUnavailable` or `NotMigrated`; the steps before that are done."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def first_day(self, now: int, days: int) -> int | None:
        """The first UTC day (since 1970) that the log has all events of at ``now`` (ms), when it keeps so many days."""
        try:
            with self._engine.connect() as connection:
                oldest = connection.scalar(select(func.min(tables.events.c.moment)))
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error
        return None if oldest is None else max(min(oldest, now) // DAY_MS, first_kept_day(now, days))

    def step(self, after: int, first_day: int, limit: int) -> Recounted:
        """Recount at most ``limit`` items with ids beyond ``after``, from the days of the log since ``first_day``.

        Their rows are held, as a sync does that adds to them: what it logs meanwhile is not missed.
        """
        return write(self._engine, lambda connection: _step(connection, after, first_day, limit))


def _step(connection: Connection, after: int, first_day: int, limit: int) -> Recounted:
    c = tables.items.c
    wanted = select(c.id, c.view_count, c.visitors, c.first_seen, c.last_seen).where(c.id > after)
    rows = connection.execute(wanted.order_by(c.id).limit(limit).with_for_update()).all()
    if not rows:
        return Recounted(None)
    ids = [row.id for row in rows]
    logged, days = _logged(connection, ids, first_day), _logged_days(connection, ids, first_day)
    stored = _stored_days(connection, ids, first_day)
    wrong_days = {key: days.get(key, (0, 0)) for key, had in stored.items() if had[1] != days.get(key, (0, 0))[1]}
    _correct_days(connection, wrong_days)
    shift: dict[int, int] = {}
    for key, seen in wrong_days.items():
        shift[key[0]] = shift.get(key[0], 0) + seen[1] - stored[key][1]
    corrected = [row for row in rows if _correct_item(connection, row, logged.get(row.id), shift.get(row.id, 0))]
    differing = {
        key[0] for key in days.keys() | stored.keys() if days.get(key, (0, 0))[0] != stored.get(key, (0, 0))[0]
    }
    return Recounted(ids[-1], len(rows), len({row.id for row in corrected} | shift.keys()), len(differing))


def _views(first_day: int, ids: Sequence[int]) -> list[Any]:
    """The conditions of the views of these items in the log."""
    e = tables.events.c
    return [e.item_id.in_(ids), e.moment >= first_day * DAY_MS, e.name.endswith(VIEWED)]


def _logged(connection: Connection, ids: Sequence[int], first_day: int) -> dict[int, tuple[int, int, int, int]]:
    """Views, visitors, first and last moment of each item in the log."""
    e = tables.events.c
    query = select(
        e.item_id,
        func.count(),
        func.count(func.nullif(e.visitor, 0).distinct()),
        func.min(e.moment),
        func.max(e.moment),
    )
    found = connection.execute(query.where(*_views(first_day, ids)).group_by(e.item_id))
    return {row[0]: (row[1], row[2], row[3], row[4]) for row in found}


def _logged_days(connection: Connection, ids: Sequence[int], first_day: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Views and visitors of each item and day in the log."""
    e = tables.events.c
    day = (e.moment // DAY_MS).label("day")
    each = select(e.item_id, day, e.visitor).where(*_views(first_day, ids)).subquery().c
    query = select(each.item_id, each.day, func.count(), func.count(func.nullif(each.visitor, 0).distinct()))
    found = connection.execute(query.group_by(each.item_id, each.day))
    return {(row[0], int(row[1])): (row[2], row[3]) for row in found}


def _stored_days(connection: Connection, ids: Sequence[int], first_day: int) -> dict[tuple[int, int], tuple[int, int]]:
    d = tables.item_days.c
    query = select(d.item_id, d.day, d.views, d.visitors).where(d.item_id.in_(ids), d.day >= first_day)
    return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}


def _correct_days(connection: Connection, days: dict[tuple[int, int], tuple[int, int]]) -> None:
    d = tables.item_days
    if days:
        changed = update(d).where(d.c.item_id == bindparam("b_item"), d.c.day == bindparam("b_day"))
        rows = [{"b_item": item, "b_day": day, "b_visitors": n} for (item, day), (_, n) in sorted(days.items())]
        connection.execute(changed.values(visitors=bindparam("b_visitors")), rows)


def _correct_item(connection: Connection, row: Any, logged: tuple[int, int, int, int] | None, shift: int) -> bool:
    """Whether something was wrong. All is known of an item whose views are all in the log, of others what is newer."""
    if logged is None:
        return False
    views, visitors, first, last = logged
    if views != row.view_count:
        visitors, first = max(row.visitors + shift, 0), min(first, row.first_seen or first)
    now, before = (visitors, first, last), (row.visitors, row.first_seen, row.last_seen)
    if now == before:
        return False
    c = tables.items.c
    values = dict(zip(("visitors", "first_seen", "last_seen"), now, strict=True))
    connection.execute(update(tables.items).where(c.id == row.id).values(recent_at=0, **values))
    return True
