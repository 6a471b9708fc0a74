"""When items of an import were hot: an item that has a history here keeps it, as two cannot be one.

Each change differs from the one before, an item is what its last change made it, and each change has its event.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from pathhits.core.hotness import BECAME_HOT, COOLED
from pathhits.storage.sql import tables
from pathhits.storage.sql.dialects.rows import Row


def go_on(connection: Connection, rows: Sequence[Row]) -> None:
    """Write changes of one item, (item, moment, whether hot, recent views), if they go on from those that are here.

    Its row is held.
    """
    h, c = tables.hot_changes.c, tables.items.c
    item, first, hot, _ = rows[0]
    here = select(h.moment, h.is_hot).where(h.item_id == item).order_by(h.moment.desc(), h.id.desc()).limit(1)
    before, was_hot = connection.execute(here).one_or_none() or (-1, 0)
    if first <= before or hot == was_hot:
        return
    names = ("item_id", "moment", "is_hot", "recent_views")
    connection.execute(insert(tables.hot_changes), [dict(zip(names, row, strict=True)) for row in rows])
    _, last, is_hot, _ = rows[-1]
    connection.execute(update(tables.items).where(c.id == item).values(is_hot=is_hot, hot_changed_at=last))


def without_lost(connection: Connection, rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """The rows of events but for those of changes that were not written."""
    name, item, moment = (columns.index(one) for one in ("name", "item_id", "moment"))
    hot = {
        row: row[name].endswith(f".{BECAME_HOT}")
        for row in rows
        if row[name].endswith((f".{BECAME_HOT}", f".{COOLED}"))
    }
    if not hot:
        return list(rows)
    h = tables.hot_changes.c
    asked = select(h.item_id, h.moment, h.is_hot).where(h.item_id.in_({row[item] for row in hot}))
    there = {tuple(row) for row in connection.execute(asked.where(h.moment.in_({row[moment] for row in hot})))}
    return [row for row in rows if row not in hot or (row[item], row[moment], int(hot[row])) in there]
