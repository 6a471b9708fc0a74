"""A popularity sink that writes columns of the app's own table."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine

from pathhits.core.backoff import back_off
from pathhits.core.popularity import ItemPopularity
from pathhits.errors import PathHitsError
from pathhits.storage.sql.mirrors import Mirror
from pathhits.storage.sql.transactions import write

#: Tries of rows that the app holds, and the first wait (s), which doubles.
TRIES = 5
FIRST_WAIT = 0.1
LONGEST_WAIT = 1.0


class ColumnSink:
    """Writes what is different, and waits a little for rows that a transaction of the app holds."""

    def __init__(
        self,
        name: str,
        mirror: Mirror,
        own_engine: Callable[[], Engine],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.mirror = mirror
        self._own_engine = own_engine
        self._sleep = sleep

    def send(self, items: Sequence[ItemPopularity]) -> None:
        """Write the figures of these items; raises `PathHitsError` when some rows were held all the time."""
        waiting = list(items)
        for attempt in range(1, TRIES + 1):
            held = self._write(waiting)
            if not held:
                return
            waiting = [item for item in waiting if item.id in held]
            self._sleep(back_off(attempt, FIRST_WAIT, LONGEST_WAIT))
        raise PathHitsError(f"{len(waiting)} rows of {self.mirror.table.name} are held by other transactions")

    def _write(self, items: Sequence[ItemPopularity]) -> set[int]:
        def work(connection: Connection) -> set[int]:
            return self.mirror.write(connection, items)

        if self.mirror.engine is None:
            return write(self._own_engine(), work)
        with self.mirror.engine.begin() as connection:
            return work(connection)
