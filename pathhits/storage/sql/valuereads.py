"""Queries about the values of dimensions: of the site or of a path, the paths of a value, and its hits by day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, and_, func, literal, or_, select, union_all

from pathhits.core import dimensions, labels
from pathhits.storage.sql import tables
from pathhits.storage.sql.tables import PATHS

#: Values, or paths, looked up by their keys in one part of a statement.
KEYS_A_PART = 1_000


class Days(NamedTuple):
    """UTC days (whole days since 1970) from ``first`` up to, not including, ``after``; None is without end."""

    first: int | None = None
    after: int | None = None

    def holds(self, day: int) -> bool:
        return (self.first is None or day >= self.first) and (self.after is None or day < self.after)

    def condition(self, column: ColumnElement[int]) -> ColumnElement[bool]:
        """The condition that a column of days is among them."""
        conditions = [column >= self.first] if self.first is not None else []
        conditions += [column < self.after] if self.after is not None else []
        return and_(literal(True), *conditions)


class Of(NamedTuple):
    """Whose values: of one dimension, on some days, of one path or of the whole site."""

    dimension: str
    days: Days
    path: str | None = None


def top_values(of: Of, search: str, limit: int, also: Sequence[str]) -> Select[Any]:
    """Value and hits of the ``limit`` values with the most, and of those ``also`` asked for."""
    v = tables.values.c
    counted = _hits_by_value(of)
    each = select(v.value, counted.c.hits).join_from(counted, tables.values, v.id == counted.c.value_id)
    each = each.where(v.dimension == of.dimension)
    best = each.where(_like(v.value, search)).order_by(counted.c.hits.desc(), v.value).limit(limit)
    keys = [dimensions.key(of.dimension, value) for value in also]
    return _with_some(best, each, v.value_key, keys)


def top_paths(value: tuple[str, str], days: Days, search: str, limit: int, also: Sequence[str]) -> Select[Any]:
    """Path and hits of the ``limit`` paths with the most hits that have the value, and of those ``also`` asked for."""
    p, pv = tables.path_counters.c, tables.path_value_days.c
    hits = func.sum(pv.hits).label("hits")
    counted = select(pv.path_id, hits).where(pv.value_id == _id_of(value), days.condition(pv.day))
    counted = counted.group_by(pv.path_id)
    all_paths = counted.subquery()
    each = select(p.path, all_paths.c.hits).join_from(all_paths, tables.path_counters, p.id == all_paths.c.path_id)
    best = each.where(_like(p.path, search)).order_by(all_paths.c.hits.desc(), p.path).limit(limit)
    return _with_some(best, each, PATHS.key, [labels.key(path) for path in also])


def by_day(value: tuple[str, str], days: Days, path: str | None) -> Select[Any]:
    """Day and hits that have the value, of the site or of one path."""
    if path is None:
        c = tables.value_days.c
        return select(c.day, c.hits).where(c.value_id == _id_of(value), days.condition(c.day))
    pc = tables.path_value_days.c
    number = dimensions.number_of(value[0])
    query = select(pc.day, pc.hits).where(pc.path_id == _path_id(path), pc.dimension_id == number)
    return query.where(pc.value_id == _id_of(value), days.condition(pc.day))


def days_with_more(since: int) -> Select[Any]:
    """How many (path, day, dimension) since a day have more values than the path has hits: there must be none."""
    pc, pd = tables.path_value_days.c, PATHS.days.c
    sums = select(pc.path_id, pc.day, func.sum(pc.hits).label("hits")).where(pc.day >= since)
    each = sums.group_by(pc.path_id, pc.dimension_id, pc.day).subquery()
    query = select(func.count()).select_from(each)
    query = query.outerjoin(PATHS.days, and_(pd.path_id == each.c.path_id, pd.day == each.c.day))
    return query.where(func.coalesce(pd.hits, 0) < each.c.hits)


def _hits_by_value(of: Of) -> FromClause:
    """``value_id`` and hits."""
    number = dimensions.number_of(of.dimension)
    if of.path is not None:
        pc = tables.path_value_days.c
        query = select(pc.value_id, func.sum(pc.hits).label("hits"))
        query = query.where(pc.path_id == _path_id(of.path), pc.dimension_id == number, of.days.condition(pc.day))
        return query.group_by(pc.value_id).subquery()
    if of.days == Days():
        v = tables.values.c
        return select(v.id.label("value_id"), v.hit_count.label("hits")).where(v.dimension == of.dimension).subquery()
    c = tables.value_days.c
    query = select(c.value_id, func.sum(c.hits).label("hits"))
    return query.where(c.dimension_id == number, of.days.condition(c.day)).group_by(c.value_id).subquery()


def _with_some(best: Select[Any], each: Select[Any], key: ColumnElement[bytes], keys: Sequence[bytes]) -> Select[Any]:
    found = best.subquery()
    parts = [select(*found.c)]
    for first in range(0, len(keys), KEYS_A_PART):
        parts.append(each.where(key.in_(keys[first : first + KEYS_A_PART])))
    both = (union_all(*parts) if len(parts) > 1 else parts[0]).subquery()
    return select(*both.c)


def _id_of(value: tuple[str, str]) -> Any:
    v = tables.values.c
    return select(v.id).where(v.value_key == dimensions.key(*value)).scalar_subquery()


def _path_id(path: str) -> Any:
    p = tables.path_counters.c
    return select(p.id).where(PATHS.key == labels.key(path)).scalar_subquery()


def _like(column: ColumnElement[str], search: str) -> ColumnElement[bool]:
    """That a text holds what is searched for, in whatever case; everything does where nothing is."""
    return func.lower(column).contains(search.lower(), autoescape=True) if search else or_(literal(True))
