"""Migrated databases for tests that are not about migrations: what the migrations said once is said again.

From nothing to the newest tables Alembic takes a tenth of a second of processor time, and hundreds of tests begin with
that. So a process lets it migrate one database of a kind, and notes its statements. `migrate.upgrade` and ``pathhits
db upgrade`` are left alone: the tests of migrations use these.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from alembic import command
from sqlalchemy import Engine, event, inspect
from sqlalchemy.exc import SQLAlchemyError

from pathhits.storage.sql import migrate
from pathhits.storage.sql.dialects.engines import begin_writing
from pathhits.storage.sql.origins import ensure_own
from pathhits.storage.sql.tables import VERSION_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pathhits import PathHits

#: A statement and its parameters, as the driver was given them.
Said = list[tuple[str, Any]]

#: What asks instead of changing something.
_QUESTIONS = ("select", "show", "pragma", "describe", "begin")
_said: dict[str, Said] = {}


def migrated(hits: PathHits) -> None:
    """As `PathHits.migrate`; anew only where the database is new and another one of its kind was migrated before."""
    engine = hits.engine
    known = _said.get(engine.dialect.name)
    if not _is_new(engine):
        migrate.upgrade(engine)
    elif known is None:
        with _noted(engine) as said:
            command.upgrade(migrate.config(engine), "head")
        _said[engine.dialect.name] = said
        migrate.upgrade(engine)
    else:
        with engine.begin() as connection:
            for statement, parameters in known:
                connection.exec_driver_sql(statement, parameters)
        with engine.begin() as connection:
            begin_writing(connection)
            ensure_own(connection)


def _is_new(engine: Engine) -> bool:
    try:
        return not inspect(engine).has_table(VERSION_TABLE)
    except SQLAlchemyError:
        # It is away, which migrating is the one to tell.
        return False


@contextmanager
def _noted(engine: Engine) -> Iterator[Said]:
    said: Said = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if not statement.lstrip().lower().startswith(_QUESTIONS):
            said.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", note)
