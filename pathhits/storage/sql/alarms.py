"""Events of the site itself: written into the log, with their deliveries, where nobody has said them already."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select

from pathhits.storage.sql import tables
from pathhits.storage.sql.deliveries import announce
from pathhits.storage.sql.dialects.lookups import present
from pathhits.storage.sql.dialects.upserts import upsert
from pathhits.storage.sql.log import EVENTS
from pathhits.storage.sql.transactions import write


class Alarms:
    """The one writer of the site's events. Raises `StoreUnavailable` or `NotMigrated`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def say(
        self,
        identity: bytes,
        name: str,
        properties: Mapping[str, Any],
        moment: int,
        since: int,
        wanted: Callable[[Sequence[int]], bool],
    ) -> bool:
        """Write the event with that id at ``moment`` (ms), if it is not there, and whether it was written now.

        ``wanted`` is asked with the moments since ``since`` (ms) at which an event of that name was said. Two that
        ask at once write one, as the id is the same.
        """

        def work(connection: Connection) -> bool:
            c = tables.events.c
            query = select(c.moment).where(c.moment >= since, c.moment <= moment, c.name == name)
            said = [row[0] for row in connection.execute(query)]
            if present(connection, c.id, [identity]) or not wanted(said):
                return False
            upsert(connection, EVENTS, [(identity, name, 0, 0, "", "", "", json.dumps(dict(properties)), moment)])
            announce(connection, [(identity, name)])
            return True

        return write(self._engine, work)
