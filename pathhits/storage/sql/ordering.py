"""Orders an app's own query by the views of its items, in SQL."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Integer, Select, String, cast, func, literal, select

from pathhits.core.rules import check_type
from pathhits.storage.sql import tables
from pathhits.storage.sql.dialects.expressions import EachTime

S = TypeVar("S", bound=Select[Any])


def by_views(statement: S, column: Any, item_type: str | None) -> S:
    """``statement`` with the items of most views first, equals by ``column``; see `PathHits.order_by_views`."""
    kind = check_type(_type_of(column) if item_type is None else item_type)
    return statement.order_by(stored_views(column, kind).desc(), column)


def stored_views(column: Any, item_type: str) -> ColumnElement[int]:
    """The views of the item whose id is in ``column``, as an expression; 0 for one that nobody saw."""
    items = tables.items.c
    text = column if isinstance(column.type, String) else cast(column, String(255))
    # Not a join, and the largest of them: a database that takes no notice of blanks at the end may find two items.
    named = items.item == literal(f"{item_type}:", String()) + text
    found = select(func.max(items.view_count)).where(named, EachTime())
    return func.coalesce(found.correlate_except(tables.items).scalar_subquery(), literal(0, Integer()))


def _type_of(column: Any) -> str:
    """The item type that a column stands for when none is named: its model's name, in small letters."""
    model = getattr(column, "class_", None)
    return str(model.__name__ if model is not None else column.table.name).lower()
