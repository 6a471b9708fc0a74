"""Alembic environment of pathhits' own tables: run by ``pathhits db upgrade``, or by Flask-Migrate in an app."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, Engine

from pathhits.storage.sql.dialects.engines import take_your_time
from pathhits.storage.sql.tables import VERSION_TABLE, metadata


def engine() -> Engine:
    """The engine pathhits was given, or under Flask-Migrate the one of the app's PathHits."""
    given = context.config.attributes.get("engine")
    if given is not None:
        return given  # type: ignore[no-any-return]
    from flask import current_app

    return current_app.extensions["pathhits"].engine  # type: ignore[no-any-return]


def ours(name: str | None, type_: str, parent_names: object) -> bool:
    """Only our tables: the database is shared with its host."""
    return type_ != "table" or name in metadata.tables


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        include_name=ours,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    context.configure(
        dialect_name=engine().dialect.name, target_metadata=metadata, version_table=VERSION_TABLE, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine().connect() as connection:
        take_your_time(connection)
        run(connection)
        connection.commit()
