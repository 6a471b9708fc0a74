"""Takes generations into SQL, each exactly once: the ledger row and all the counts are one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from pathhits.core.backoff import back_off
from pathhits.errors import StoreUnavailable
from pathhits.hits import Sketch
from pathhits.settings import redact
from pathhits.storage.sql import tables
from pathhits.storage.sql.contents import Applied, Contents
from pathhits.storage.sql.dialects.errors import is_lost, is_retryable, refuses_rows
from pathhits.storage.sql.migrate import missing_tables, not_migrated, require_head
from pathhits.storage.sql.transactions import FIRST_WAIT, LONGEST_WAIT, PATIENCE, TRIES
from pathhits.storage.sql.writing import MAX_SEARCHES, Writer


class Ledger:
    """The one writer of counts. Raises `StoreUnavailable` or `NotMigrated`, and then has written nothing."""

    def __init__(
        self,
        engine: Engine,
        sleep: Callable[[float], None] = time.sleep,
        tries: int | None = None,
        max_searches: int = MAX_SEARCHES,
    ) -> None:
        self._engine = engine
        self._max_searches = max_searches
        self._sleep = sleep
        self._tries = tries or TRIES

    def check(self) -> None:
        """Raise `StoreUnavailable` or `NotMigrated` when `apply` would, as far as that can be known beforehand."""
        require_head(self._engine)

    def reach(self) -> None:
        """Raise `StoreUnavailable` when SQL is away, at the price of one short question."""
        try:
            with self._engine.connect() as connection:
                connection.execute(select(1))
        except SQLAlchemyError as error:
            raise self._unavailable(error) from error

    def apply(self, contents: Contents, visitors: Mapping[Sketch, int]) -> Applied:
        """Add all of ``contents`` in one transaction with its ledger row; what SQL refuses becomes dead letters."""
        careful = False
        heard: Writer | None = None
        started = time.monotonic()
        for attempt in range(1, self._tries + 1):
            writer = Writer(contents, visitors, careful, self._max_searches)
            try:
                if self._written(writer, contents.generation):
                    return writer.outcome()
                # After a lost answer to our own COMMIT this is how we learn that it was heard.
                return heard.outcome() if heard else Applied(False)
            except SQLAlchemyError as error:
                if attempt == self._tries or time.monotonic() - started > PATIENCE:
                    raise self._unavailable(error) from error
                if is_retryable(error) or is_lost(error):
                    heard = writer if writer.complete else heard
                    self._sleep(back_off(attempt, FIRST_WAIT, LONGEST_WAIT))
                elif not isinstance(error, DBAPIError):
                    raise self._unavailable(error) from error
                else:
                    self._raise_if_not_migrated(error)
                    if careful or not refuses_rows(error):
                        raise self._unavailable(error) from error
                    careful = True
        raise AssertionError("unreachable")

    def _written(self, writer: Writer, generation: str) -> bool:
        """Claim the generation and write it in one transaction; False when the ledger has it already."""
        try:
            with self._engine.connect() as connection, connection.begin():
                _claim(connection, generation)
                writer.write(connection)
        except IntegrityError:
            # Its key may be taken, or something else be refused: what is not in the ledger is never thrown away.
            if self._has(generation):
                return False
            raise
        return True

    def _has(self, generation: str) -> bool:
        taken = select(tables.ledger.c.generation).where(tables.ledger.c.generation == generation)
        with self._engine.connect() as connection:
            return connection.execute(taken).first() is not None

    def _raise_if_not_migrated(self, error: SQLAlchemyError) -> None:
        try:
            missing = missing_tables(self._engine)
        except SQLAlchemyError as other:
            raise self._unavailable(other) from error
        if missing:
            raise not_migrated("The database", missing) from error

    def _unavailable(self, error: SQLAlchemyError) -> StoreUnavailable:
        url = redact(self._engine.url.render_as_string(hide_password=True))
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        return StoreUnavailable(f"SQL at {url} did not take the counts, they stay in Redis: {redact(reason)}")


def _claim(connection: Connection, generation: str) -> None:
    """Write the ledger row; IntegrityError when the generation is in the ledger already. Waits for one who is at it."""
    row = {"generation": generation, "applied_at": datetime.now(UTC), "seconds": 0.0}
    connection.execute(insert(tables.ledger).values(row))
