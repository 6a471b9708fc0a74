"""The salts that a process has asked for, those around its hits, kept no longer than Redis keeps them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from pathhits.core.visitors import (
    SALT_KEPT_AFTER,
    period_end,
    previous_period,
    salt_period,
    secret_salt,
    visit_periods,
)
from pathhits.settings import Settings

#: Salt periods remembered: the current one, the one before for late hits, and the next after midnight.
SALTS_REMEMBERED = 4


class Salts(Protocol):
    """Where salts come from; may raise `redis.RedisError`."""

    def get(self, period: str) -> bytes | None: ...


class VisitSalts(NamedTuple):
    """The salts under which the visits of one minute are looked up, and the index of the minute's own."""

    salts: tuple[bytes, ...]
    home: int


class SaltRing:
    """The salts around a moment. To ``ask`` is to ask Redis for what is not known, which may raise what Redis does.

    Without asking, an unknown salt is a LookupError: what needs it waits. While Redis ``is_away`` for good nothing
    waits, and there is none.
    """

    def __init__(self, settings: Settings, store: Salts, is_away: Callable[[], bool]) -> None:
        self._rotation = settings.salt_rotation
        self._secret = settings.secret
        self._store = store
        self._is_away = is_away
        self.known: dict[str, bytes | None] = {}
        self._of_minute: tuple[tuple[int, int], VisitSalts | None] = ((-1, -1), None)

    def of(self, moment: float, ask: bool) -> bytes | None:
        """The salt of the moment's period, None when it is long over."""
        return self._of(salt_period(moment, self._rotation), ask)

    def has(self, moment: float) -> bool:
        """Whether the salt of the moment's period is known here."""
        return self._rotation == "never" or bool(self.known.get(salt_period(moment, self._rotation)))

    def around(self, moment: float, ask: bool) -> list[bytes]:
        """The salts under which a viewer may be known: of this period, and of the one before it."""
        periods = [salt_period(moment, self._rotation), previous_period(moment, self._rotation)]
        found = [self._of(period, ask) for period in periods if period is not None]
        return [salt for salt in found if salt is not None]

    def of_visit(self, moment: float, ask: bool) -> VisitSalts | None:
        """The salts under which the visit that holds ``moment`` is looked up; LookupError when one is not known yet."""
        now = time.time()
        minutes = int(moment // 60), int(now // 60)
        # All moments of a minute, as all borders, are the same here.
        if self._of_minute[0] != minutes:
            periods, home = visit_periods(moment, now, self._rotation)
            salts = [self._of(period, ask) for period in periods]
            known = tuple(salt for salt in salts if salt is not None)
            own = None if salts[home] is None else VisitSalts(known, home - salts[:home].count(None))
            self._of_minute = minutes, own
        return self._of_minute[1]

    def forget(self) -> None:
        """Keep no salt for longer than Redis does, and those of a few periods at most."""
        now, newest = time.time(), list(self.known)[-SALTS_REMEMBERED:]
        for period in list(self.known):
            if period not in newest or period_end(period) + SALT_KEPT_AFTER < now:
                self.known.pop(period, None)
                self._of_minute = ((-1, -1), None)

    def _of(self, period: str, ask: bool) -> bytes | None:
        if self._rotation == "never":
            return secret_salt(self._secret)
        if period not in self.known:
            if not ask:
                if self._is_away():
                    return None
                raise LookupError(period)
            self.known[period] = self._store.get(period)
        return self.known.get(period)
