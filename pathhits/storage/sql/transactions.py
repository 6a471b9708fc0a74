"""One transaction of ours: tried again where that may help, and explained where it cannot be done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from pathhits.core.backoff import back_off
from pathhits.errors import NotMigrated, StoreUnavailable
from pathhits.settings import redact
from pathhits.storage.sql.dialects.engines import begin_writing
from pathhits.storage.sql.dialects.errors import is_lost, is_retryable
from pathhits.storage.sql.migrate import missing_tables, not_migrated

T = TypeVar("T")

#: Tries of one transaction on a deadlock, a lock or a lost connection.
TRIES = 8
#: Seconds that the wait before another try doubles from, and the longest one.
FIRST_WAIT = 0.02
LONGEST_WAIT = 1.0
#: Seconds after which a transaction that failed is left to the next run: a database that hangs costs a time-out a try.
PATIENCE = 60.0


def write(engine: Engine, work: Callable[[Connection], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """What ``work`` returns, done in one transaction; it must be harmless when it was done before.

    Raises `StoreUnavailable` or `NotMigrated`, and then nothing was written that was not said to be.
    """
    started = time.monotonic()
    for attempt in range(1, TRIES + 1):
        try:
            with engine.connect() as connection, connection.begin():
                begin_writing(connection)
                return work(connection)
        except SQLAlchemyError as error:
            late = time.monotonic() - started > PATIENCE
            if attempt == TRIES or late or not (is_retryable(error) or is_lost(error)):
                raise explained(engine, error) from error
            sleep(back_off(attempt, FIRST_WAIT, LONGEST_WAIT))
    raise AssertionError("unreachable")


def read(engine: Engine, query: Any) -> Sequence[Any]:
    """The rows that ``query`` finds, in a transaction of its own; raises `StoreUnavailable` or `NotMigrated`."""
    try:
        with engine.connect() as connection:
            return connection.execute(query).all()
    except SQLAlchemyError as error:
        raise explained(engine, error) from error


def explained(engine: Engine, error: SQLAlchemyError) -> StoreUnavailable | NotMigrated:
    """The error as one of ours, on one line and without a password."""
    url = redact(engine.url.render_as_string(hide_password=True))
    reason = redact(str(getattr(error, "orig", None) or error).partition("\n")[0])
    try:
        missing = missing_tables(engine)
    except SQLAlchemyError:
        return StoreUnavailable(f"SQL at {url} did not answer: {reason}")
    if missing:
        return not_migrated(f"The database {url}", missing)
    return StoreUnavailable(f"SQL at {url} refused a question: {reason}")
