"""Brings the database to the tables this version needs, and keeps a host's Alembic away from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

import pathhits
from pathhits.errors import NotMigrated, PathHitsError, StoreUnavailable
from pathhits.settings import redact
from pathhits.storage.sql.dialects.engines import begin_writing
from pathhits.storage.sql.origins import ensure_own
from pathhits.storage.sql.tables import VERSION_TABLE, metadata

#: Tables that an error names.
MISSING_NAMED = 3

OURS = frozenset(metadata.tables) | {VERSION_TABLE}


def directory() -> Path:
    """Where the migration scripts are: inside an installed wheel, at the top level of a checkout."""
    package = Path(pathhits.__file__).parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def config(engine: Engine) -> Config:
    """An Alembic configuration for our scripts, bound to ``engine``."""
    found = Config()
    found.set_main_option("script_location", str(directory()).replace("%", "%%"))
    found.attributes["engine"] = engine
    return found


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Create or change our tables up to ``revision``; does nothing when they are there.

    The newest ones are given an identity, before anybody can make a copy of the database that has another one.
    """
    with _explained(engine):
        command.upgrade(config(engine), revision)
        if revision == "head":
            with engine.begin() as connection:
                begin_writing(connection)
                ensure_own(connection)


def downgrade(engine: Engine, revision: str) -> None:
    """Take our tables back to ``revision``; "base" removes them and their counts."""
    with _explained(engine):
        command.downgrade(config(engine), revision)


def current(engine: Engine) -> str | None:
    """The revision the database is at, None when it has none of our tables."""
    with _explained(engine), engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()


def head(engine: Engine) -> str | None:
    """The revision this version of pathhits needs."""
    return ScriptDirectory.from_config(config(engine)).get_current_head()


def require_head(engine: Engine) -> None:
    """Raise `NotMigrated` when the tables are older than this version needs; newer ones are another's business."""
    # To look into an SQLite file that is not there would make it.
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    at = None if file and file != ":memory:" and not Path(file).exists() else current(engine)
    wanted = head(engine)
    if at is None:
        url = redact(engine.url.render_as_string(hide_password=True))
        raise NotMigrated(f"SQL at {url} has no tables of pathhits: run 'pathhits db upgrade'")
    known = {script.revision for script in ScriptDirectory.from_config(config(engine)).walk_revisions()}
    if at != wanted and at in known:
        raise NotMigrated(f"The database is at revision {at}, this version needs {wanted}: run 'pathhits db upgrade'")


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Errors of SQL and Alembic as one line without a password."""
    url = redact(engine.url.render_as_string(hide_password=True))
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise StoreUnavailable(f"SQL at {url} did not answer: {redact(reason)}") from error
    except CommandError as error:
        raise PathHitsError(f"SQL at {url}: {redact(str(error))}") from error


def missing_tables(engine: Engine) -> list[str]:
    """Which of our tables the database lacks."""
    there = set(inspect(engine).get_table_names())
    return sorted(name for name in metadata.tables if name not in there)


def not_migrated(where: str, missing: Sequence[str]) -> NotMigrated:
    """The error for ``missing`` tables; of many, which a person would not read, the first ones are named."""
    if len(missing) == len(metadata.tables):
        return NotMigrated(f"{where} has no tables of pathhits: run 'pathhits db upgrade'")
    named = ", ".join(missing[:MISSING_NAMED])
    more = f" and {len(missing) - MISSING_NAMED} more tables" if len(missing) > MISSING_NAMED else ""
    return NotMigrated(f"{where} lacks {named}{more}: run 'pathhits db upgrade'")


def include_name(name: str | None, type_: str, parent_names: Any = None) -> bool:
    """For a host's ``migrations/env.py``: keeps autogenerate from proposing to drop our tables.

    ``context.configure(..., include_name=include_name)``; returns False for the tables of pathhits.
    """
    return not (type_ == "table" and name in OURS)
