"""Snapshots of the dashboard in SQL: the newest one is read, those of some days are kept."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from pathhits.storage.sql import tables
from pathhits.storage.sql.transactions import explained, write


class Snapshots:
    """Raises `StoreUnavailable` or `NotMigrated`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def newest(self) -> str | None:
        """The text of the newest snapshot, None when there is none."""
        c = tables.snapshots.c
        try:
            with self._engine.connect() as connection:
                return connection.scalar(select(c.content).order_by(c.moment.desc(), c.id.desc()).limit(1))
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error

    def add(self, moment: int, text: str) -> None:
        """Store one of that moment (ms); one of the same moment is replaced, so that it may be written again."""
        c = tables.snapshots.c

        def work(connection: Connection) -> None:
            connection.execute(delete(tables.snapshots).where(c.moment == moment))
            connection.execute(insert(tables.snapshots).values(moment=moment, content=text))

        write(self._engine, work)

    def prune(self, before: int, limit: int) -> int:
        """Delete at most ``limit`` snapshots from before that moment (ms), but never the newest; how many it were."""

        def work(connection: Connection) -> int:
            c = tables.snapshots.c
            newest = connection.scalar(select(c.id).order_by(c.moment.desc(), c.id.desc()).limit(1))
            old = select(c.id).where(c.moment < before, c.id != newest).order_by(c.moment).limit(limit)
            ids = connection.scalars(old).all() if newest is not None else ()
            if ids:
                connection.execute(delete(tables.snapshots).where(c.id.in_(ids)))
            return len(ids)

        return write(self._engine, work)
