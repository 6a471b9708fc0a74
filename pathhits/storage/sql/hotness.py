"""Recent views of items and whether they are hot: counted from the log, changed under a lock, each change once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, and_, bindparam, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from pathhits.core.hotness import BECAME_HOT, COOLED, RECENT_MS, Thresholds
from pathhits.events import viewed
from pathhits.storage.sql import tables
from pathhits.storage.sql.deliveries import announce
from pathhits.storage.sql.transactions import explained, write

#: Why an item is due: it changed, it is hot and may cool, or its recent views may have become fewer.
Due = Literal["touched", "hot", "stale"]
#: Items made due in one transaction.
TOUCHED = 1_000
#: Milliseconds after which the recent views of an item that nothing touched are counted again.
STALE_MS = 300_000


@dataclass(frozen=True, slots=True)
class ItemState:
    """One item after its recent views were counted; ``changed`` says that it became hot or cooled just now."""

    id: int
    item: str
    item_type: str
    views: int
    visitors: int
    recent_views: int
    is_hot: bool
    changed: bool


class Hotness:
    """The one writer of ``recent_views`` and ``is_hot``. Raises `StoreUnavailable` or `NotMigrated`.

    Whoever refreshes an item holds its row, as a sync that adds to it does: of two at once the second sees what the
    first has done, and a change is made, and recorded, by one of them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self, why: Due, now: int, limit: int) -> list[bytes]:
        """Keys of at most ``limit`` items to refresh at ``now`` (ms); none is due again once that is done."""
        c = tables.items.c
        conditions: dict[Due, ColumnElement[bool]] = {
            "touched": c.recent_at == 0,
            "hot": and_(c.is_hot == 1, c.recent_at < now),
            "stale": and_(c.is_hot == 0, c.recent_views > 0, c.recent_at < now - STALE_MS),
        }
        try:
            with self._engine.connect() as connection:
                found = connection.scalars(select(c.item_key).where(conditions[why]).limit(limit)).all()
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error
        return sorted(bytes(key) for key in found)

    def touch_all(self) -> None:
        """Make every item due, so many in a transaction."""
        c, last = tables.items.c, 0
        while True:

            def work(connection: Connection, after: int = last) -> int:
                upto = connection.scalar(
                    select(func.max(select(c.id).where(c.id > after).order_by(c.id).limit(TOUCHED).subquery().c.id))
                )
                if upto:
                    connection.execute(update(tables.items).where(c.id > after, c.id <= upto).values(recent_at=0))
                return upto or 0

            last = write(self._engine, work)
            if not last:
                return

    def refresh(
        self,
        keys: Sequence[bytes],
        now: int,
        thresholds: Callable[[str], Thresholds],
        before_commit: Callable[[Connection, Sequence[ItemState]], None] = lambda connection, states: None,
    ) -> list[ItemState]:
        """Count the recent views of these items as of ``now`` (ms), in one transaction; what they are then.

        ``thresholds`` are those of a type. ``before_commit`` belongs to the transaction.
        """

        counted = self._counted(keys, now)

        def work(connection: Connection) -> list[ItemState]:
            states = self._refreshed(connection, keys, now, thresholds, counted)
            before_commit(connection, states)
            return states

        return write(self._engine, work)

    def _counted(self, keys: Sequence[bytes], now: int) -> dict[tuple[int, int], int]:
        """Recent views by item and its views in all: counted before the rows are held, as counting may take a while."""
        c = tables.items.c
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(select(c.id, c.item_type, c.view_count).where(c.item_key.in_(keys))).all()
                recent = _recent_views(connection, rows, now)
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error
        return {(row.id, row.view_count): recent.get(row.id, 0) for row in rows}

    def _refreshed(
        self,
        connection: Connection,
        keys: Sequence[bytes],
        now: int,
        thresholds: Callable[[str], Thresholds],
        counted: Mapping[tuple[int, int], int],
    ) -> list[ItemState]:
        c = tables.items.c
        # By key, as a sync locks them: two that lock the same rows in one order do not deadlock.
        locked = select(c.id, c.item, c.item_type, c.view_count, c.visitors, c.is_hot)
        locked = locked.where(c.item_key.in_(keys), c.recent_at < now).order_by(c.item_key).with_for_update()
        rows = connection.execute(locked).all()
        # A sync that logs views counts them in the same transaction: with as many views in all, the log is as it was.
        added = _recent_views(connection, [row for row in rows if (row.id, row.view_count) not in counted], now)
        states = []
        for row in rows:
            views = added.get(row.id, counted.get((row.id, row.view_count), 0))
            hot = thresholds(row.item_type).is_hot(views, bool(row.is_hot))
            changed = hot != bool(row.is_hot)
            states.append(ItemState(row.id, row.item, row.item_type, row.view_count, row.visitors, views, hot, changed))
        _store(connection, states, now)
        return states


def _recent_views(connection: Connection, rows: Sequence[Any], now: int) -> dict[int, int]:
    """Views of the last days by item."""
    if not rows:
        return {}
    c = tables.events.c
    names = sorted({viewed(row.item_type) for row in rows})
    query = select(c.item_id, func.count()).where(
        c.item_id.in_([row.id for row in rows]), c.moment > now - RECENT_MS, c.name.in_(names)
    )
    return {row[0]: row[1] for row in connection.execute(query.group_by(c.item_id))}


def _store(connection: Connection, states: Sequence[ItemState], now: int) -> None:
    table = tables.items
    changed = [state for state in states if state.changed]
    for some, more in (([s for s in states if not s.changed], {}), (changed, {"hot_changed_at": now})):
        if some:
            values = {"recent_views": bindparam("b_views"), "is_hot": bindparam("b_hot"), "recent_at": now, **more}
            rows = [{"b_id": state.id, "b_views": state.recent_views, "b_hot": int(state.is_hot)} for state in some]
            connection.execute(update(table).where(table.c.id == bindparam("b_id")).values(values), rows)
    if changed:
        connection.execute(insert(tables.hot_changes), [_change(state, now) for state in changed])
        events = list(_events(changed, now))
        connection.execute(insert(tables.events), events)
        announce(connection, ((event["id"], event["name"]) for event in events))


def _change(state: ItemState, now: int) -> dict[str, Any]:
    return {"item_id": state.id, "moment": now, "is_hot": int(state.is_hot), "recent_views": state.recent_views}


def _events(changed: Iterable[ItemState], now: int) -> Iterable[dict[str, Any]]:
    for state in changed:
        name = f"{state.item_type}.{BECAME_HOT if state.is_hot else COOLED}"
        yield {
            "id": _event_id(state.item, name, now),
            "name": name,
            "item_id": state.id,
            "properties": json.dumps({"recent_views": state.recent_views}),
            "moment": now,
        }


def _event_id(item: str, name: str, moment: int) -> bytes:
    """An id that the same change has wherever it is made: milliseconds first, as every event's."""
    digest = blake2b(f"{name}\n{item}\n{moment}".encode(), digest_size=10, person=b"pathhits-hot")
    return moment.to_bytes(6, "big") + digest.digest()
