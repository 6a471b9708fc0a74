"""Keeps columns of the host's own tables at the figures of its items; writes only what has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Column, Connection, Engine, Table, bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError

from pathhits.core.rules import check_type
from pathhits.errors import SettingsError
from pathhits.storage.sql.dialects.errors import is_lost, is_retryable
from pathhits.storage.sql.hotness import ItemState
from pathhits.storage.sql.tables import items

logger = logging.getLogger("pathhits")

#: The figures that can be mirrored.
FIGURES: dict[str, Callable[[ItemState], int | bool]] = {
    "views": lambda state: state.views,
    "hot": lambda state: state.is_hot,
    "visitors": lambda state: state.visitors,
    "recent_views": lambda state: state.recent_views,
}


class Counted(Protocol):
    """An item with figures: its row in `items`, and ``type:id``."""

    @property
    def id(self) -> int: ...

    @property
    def item(self) -> str: ...


@dataclass(frozen=True)
class Mirror:
    """Columns of one table that follow the items of one type; ``engine`` is None where the table is beside ours.

    ``figures`` gives what each column holds.
    """

    item_type: str
    id: Column[Any]
    columns: Mapping[str, Column[Any]]
    engine: Engine | None = None
    figures: Mapping[str, Callable[[Any], Any]] = field(default_factory=lambda: FIGURES)

    @property
    def table(self) -> Table:
        """The host's table."""
        return self.id.table

    def write(self, connection: Connection, states: Iterable[Counted]) -> set[int]:
        """Write the figures of these items where they are others; ids of those whose rows the app holds just now.

        We hold rows that a sync may want, and so wait for nobody.
        """
        wanted = {identity: state for state in states for identity in self._ids(state)}
        if not wanted:
            return set()
        rows = {}
        for identity, *now in connection.execute(select(self.id, *self.columns.values()).where(self.id.in_(wanted))):
            # A database that ignores case finds more than was asked for.
            state = wanted.get(identity)
            values = None if state is None else [self.figures[name](state) for name in self.columns]
            if values is not None and values != now:
                rows[identity] = {"b_id": identity, **{f"b_{n}": value for n, value in enumerate(values)}}
        if not rows:
            return set()
        free = select(self.id).where(self.id.in_(rows)).with_for_update(skip_locked=True)
        ours = [rows[identity] for identity in connection.scalars(free) if identity in rows]
        if ours:
            changed = update(self.table).where(self.id == bindparam("b_id"))
            values_of: dict[Any, Any] = {column: bindparam(f"b_{n}") for n, column in enumerate(self.columns.values())}
            connection.execute(changed.values(values_of), ours)
        return {wanted[identity].id for identity in rows.keys() - {row["b_id"] for row in ours}}

    def _ids(self, state: Counted) -> list[Any]:
        """The item's id as the host's column has it; none when it cannot be one."""
        text = state.item.partition(":")[2]
        kind = self.id.type.python_type
        if kind is str:
            return [text]
        try:
            identity = kind(text)
        except (TypeError, ValueError, ArithmeticError):
            return []
        return [identity] if str(identity) == text else []


def make(
    item_type: str,
    given: Mapping[str, Any],
    engine: Engine | None,
    figures: Mapping[str, Callable[[Any], Any]] = FIGURES,
) -> Mirror:
    """A mirror of the columns ``given`` by figure, and ``id``; raises `SettingsError` for what is no such column."""
    columns = {name: _column(f"{name}={column!r}", column) for name, column in given.items() if column is not None}
    identity = columns.pop("id", None)
    if identity is None or not columns:
        raise SettingsError(
            f"mirror({item_type!r}): give id= and at least one of {', '.join(f'{n}=' for n in figures)}"
        )
    if any(column.table is not identity.table for column in columns.values()):
        raise SettingsError(f"mirror({item_type!r}): its columns are of several tables")
    return Mirror(check_type(item_type), identity, columns, engine, figures)


def write_all(mirrors: Iterable[Mirror], connection: Connection, states: Sequence[ItemState]) -> None:
    """Write what each mirror has of these items, beside ours in the same transaction; the host's errors are logged.

    Items whose rows the app holds are due again.
    """
    held: set[int] = set()
    for mirror in mirrors:
        of_type = [state for state in states if state.item_type == mirror.item_type]
        try:
            if mirror.engine is None:
                with connection.begin_nested():
                    held |= mirror.write(connection, of_type)
            else:
                with mirror.engine.begin() as other:
                    held |= mirror.write(other, of_type)
        except SQLAlchemyError as error:
            if mirror.engine is None and (is_retryable(error) or is_lost(error)):
                raise
            reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
            logger.error("mirror of %s in %s failed: %s", mirror.item_type, mirror.table.name, reason)
    if held:
        connection.execute(update(items).where(items.c.id.in_(held)).values(recent_at=0))


def _column(shown: str, given: Any) -> Column[Any]:
    columns = getattr(getattr(given, "property", None), "columns", [given])
    if len(columns) != 1 or not isinstance(columns[0], Column) or not isinstance(columns[0].table, Table):
        raise SettingsError(f"mirror: {shown}: give a column, such as Product.view_count")
    found: Column[Any] = columns[0]
    return found
