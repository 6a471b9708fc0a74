"""Forgetting a person: what a site does when one of its users asks to be taken out of the data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from redis import RedisError

from pathhits.app.running import Running
from pathhits.core.clients import client_address
from pathhits.core.visitors import salt_period, secret_salt, user_id_of, visitor_id
from pathhits.errors import PathHitsError, StoreUnavailable
from pathhits.events import USER_LENGTH, kept
from pathhits.storage.redis.client import explain

#: Days back from now whose salts may still be there: those of the salt's own period, and the two it is kept after it.
DAYS_OF_SALTS = range(4)


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """How many events are nobody's now, and by how many ids of the person they were looked for."""

    events: int
    ids: int

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


class Forgetting(Running):
    """What is known of a person, undone."""

    def forget(
        self, user_id: object | None = None, *, ip: str | None = None, user_agent: str | None = None
    ) -> ForgetReport:
        """Take a user, or the visitor of an address and user agent, out of the event log; every count stays.

        What is in Redis is moved into SQL first; what a web process still holds comes a second later: run it again
        then. Of keyed ids those of the last days are found, as their salts are still there; older ones lead to nobody
        already. Raises `PathHitsError` when nobody is named, or an address that is none or alone, `StoreUnavailable` or
        `NotMigrated`.
        """
        user = "" if user_id is None else kept(str(user_id), USER_LENGTH)
        if not user and not ip:
            raise PathHitsError("say who is to be forgotten: a user's id, or --ip with --user-agent")
        if ip and user_agent is None:
            raise PathHitsError("forget(ip=...): give user_agent= too, to the letter; a visitor is known by both")
        address = client_address(ip or "", "", 0)
        if ip and not address:
            raise PathHitsError("forget(ip=...): give an address, as 192.0.2.1 or 2001:db8::1")
        from pathhits.storage.sql.forgetting import Forgetting as Log

        self.sync(force=True)
        try:
            salts = set(self._salts())
        except RedisError as error:
            raise StoreUnavailable(explain(error, self.settings.redis_url)) from error
        users, visitors = set[str](), set[int]()
        if user:
            users = {user, *(user_id_of(str(user_id), salt) for salt in salts)}
        if ip:
            visitors = {visitor_id(address, user_agent or "", salt) for salt in salts}
        return ForgetReport(Log(self.engine).forget(users, visitors), len(users) + len(visitors))

    def _salts(self) -> Iterator[bytes]:
        rotation, now = self.settings.salt_rotation, time.time()
        if rotation == "never":
            yield secret_salt(self.settings.secret)
            return
        for period in {salt_period(now - days * 86_400, rotation) for days in DAYS_OF_SALTS}:
            salt = self.salts.get(period)
            if salt is not None:
                yield salt
