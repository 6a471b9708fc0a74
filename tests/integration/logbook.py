"""Writes views into SQL as a sync leaves them, at moments of the test's choice, for what reads them."""

from __future__ import annotations

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, insert, select, update

from pathhits import PathHits
from pathhits.core import labels
from pathhits.storage.sql import tables

DAY_MS = 86_400_000
_numbers = itertools.count(1)


def ms(moment: datetime) -> int:
    """Milliseconds since 1970, as SQL keeps moments."""
    return round(moment.timestamp() * 1000)


def event_id(moment: int) -> bytes:
    """An id as events have it, that no other event of this process has."""
    return moment.to_bytes(6, "big") + next(_numbers).to_bytes(6, "big") + os.urandom(4)


def put_views(hits: PathHits, item: str, views: Iterable[tuple[int, int]]) -> int:
    """Store (moment in ms, visitor) as counted views of the item ``type:id`` with all that belongs to them; its id."""
    seen = sorted(views)
    kind = item.partition(":")[0]
    with hits.engine.begin() as connection:
        c = tables.items.c
        row = connection.execute(select(c.id).where(c.item_key == labels.key(item))).first()
        now = datetime.now(UTC)
        if row is None:
            values = {
                "item_key": labels.key(item), "item": item, "item_type": kind, "created_at": now, "updated_at": now,
                "first_seen": seen[0][0] if seen else None,
            }  # fmt: skip
            connection.execute(insert(tables.items).values(values))
        item_id: int = connection.execute(select(c.id).where(c.item_key == labels.key(item))).scalar_one()
        e = tables.events.c
        known = connection.execute(select(e.visitor, e.moment).where(e.item_id == item_id)).all()
        visitors = {one for one, _ in known if one}
        on_day = {(one, moment // DAY_MS) for one, moment in known if one}
        new_on: Counter[int] = Counter(day for _, day in {(v, m // DAY_MS) for m, v in seen if v} - on_day)
        new = {v for _, v in seen if v} - visitors
        rows = [
            {"id": event_id(m), "name": f"{kind}.viewed", "item_id": item_id, "visitor": v, "properties": "",
             "moment": m}
            for m, v in seen
        ]  # fmt: skip
        if rows:
            connection.execute(insert(tables.events), rows)
        for table, column, size, more in (
            (tables.item_days, "day", DAY_MS, new_on),
            (tables.item_hours, "hour", DAY_MS // 24, None),
        ):
            add(connection, table, item_id, column, Counter(m // size for m, _ in seen), more)
        connection.execute(
            update(tables.items)
            .where(c.id == item_id)
            .values(
                view_count=c.view_count + len(seen),
                visitors=c.visitors + len(new),
                last_seen=seen[-1][0] if seen else None,
                recent_at=0,
            )
        )
        site: dict[int, int] = Counter(m // (DAY_MS // 24) for m, _ in seen)
        _add_site(connection, f"views:{kind}", site)
    return item_id


def add(
    connection: Any,
    table: Table,
    item_id: int,
    column: str,
    views: Mapping[int, int],
    visitors: Mapping[int, int] | None,
) -> None:
    for at, n in views.items():
        found = (table.c.item_id == item_id) & (table.c[column] == at)
        values = {"views": table.c.views + n}
        fresh = {"item_id": item_id, column: at, "views": n}
        if visitors is not None:
            values["visitors"] = table.c.visitors + visitors.get(at, 0)
            fresh["visitors"] = visitors.get(at, 0)
        if not connection.execute(update(table).where(found).values(values)).rowcount:
            connection.execute(insert(table).values(fresh))


def _add_site(connection: Any, counter: str, hours: Mapping[int, int]) -> None:
    table = tables.site_hours
    for hour, n in hours.items():
        found = (table.c.counter == counter) & (table.c.hour == hour)
        if not connection.execute(update(table).where(found).values(total=table.c.total + n)).rowcount:
            connection.execute(insert(table).values(counter=counter, hour=hour, total=n))


def rows_of(hits: PathHits, table: Table) -> list[dict[str, Any]]:
    """All rows of a table, by its primary key."""
    with hits.engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]


def by_name(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Events by their name."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["name"]].append(row)
    return dict(found)
