"""What the log says of items, and what else must agree with it: each number a query, for one statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, and_, func, or_, select

from pathhits.core.hotness import BECAME_HOT, COOLED
from pathhits.core.retention import DAY_MS
from pathhits.events import VIEWED
from pathhits.storage.sql import tables


def log_sums(first_day: int) -> dict[str, Select[Any]]:
    """The sums, where the log has every event since that UTC day (since 1970)."""
    e, d = tables.events.c, tables.item_days.c
    viewed = and_(e.moment >= first_day * DAY_MS, e.name.endswith(VIEWED), e.item_id != 0)
    days = select(e.item_id, e.visitor, (e.moment // DAY_MS).label("day")).where(viewed, e.visitor != 0)
    ended = or_(e.name.endswith(f".{BECAME_HOT}"), e.name.endswith(f".{COOLED}"))
    return {
        "logged_views": select(func.count()).where(viewed),
        "item_day_views": select(func.sum(d.views)).where(d.day >= first_day),
        "logged_day_visitors": select(func.count()).select_from(days.distinct().subquery()),
        "item_day_visitors": select(func.sum(d.visitors)).where(d.day >= first_day),
        **_whole_items(viewed),
        "logged_changes": select(func.count()).where(e.moment >= first_day * DAY_MS, ended),
        "hot_changes": select(func.count()).where(tables.hot_changes.c.moment >= first_day * DAY_MS),
        **_hot(),
    }


def _whole_items(viewed: Any) -> dict[str, Select[Any]]:
    """Visitors of the items whose views are all in the log: counted there, and as they are stored."""
    c, e = tables.items.c, tables.events.c
    visitors = func.count(func.nullif(e.visitor, 0).distinct()).label("visitors")
    logged = select(e.item_id, func.count().label("views"), visitors).where(viewed).group_by(e.item_id).subquery()
    whole = and_(logged.c.item_id == c.id, logged.c.views == c.view_count)
    return {
        "logged_visitors": select(func.sum(logged.c.visitors)).join_from(logged, tables.items, whole),
        "item_visitors": select(func.sum(c.visitors)).join_from(logged, tables.items, whole),
    }


def _hot() -> dict[str, Select[Any]]:
    """Changes that do not differ from the one before, hot items, and items whose last change made them hot."""
    h, c = tables.hot_changes.c, tables.items.c
    before = func.coalesce(func.lag(h.is_hot).over(partition_by=h.item_id, order_by=(h.moment, h.id)), 0)
    changes = select(h.is_hot, before.label("before")).subquery().c
    latest = func.row_number().over(partition_by=h.item_id, order_by=(h.moment.desc(), h.id.desc()))
    last = select(h.is_hot, latest.label("n")).subquery().c
    return {
        "repeated_changes": select(func.count()).where(changes.is_hot == changes.before),
        "hot_items": select(func.count()).where(c.is_hot == 1),
        "last_made_hot": select(func.count()).where(last.n == 1, last.is_hot == 1),
    }
