"""The rules' side of Redis: a verdict for one view, and what the rules remember just now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import redis

from pathhits.hits import View
from pathhits.storage.redis.keys import Keys
from pathhits.storage.redis.scripts import script

#: Keys looked at by one call while live keys are counted.
SCAN_COUNT = 1_000


def arguments(view: View) -> Iterator[Any]:
    """The view as ``read_view`` of rules.lua reads it."""
    yield from (view.moment, int(view.moment // 86_400), view.item, view.grant)
    yield from view.limits
    yield len(view.viewers)
    yield from view.viewers


class RuleStore:
    """Asks and looks; every method may raise `redis.RedisError`."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self.client = client
        self.keys = keys
        self._judge = script(client, "judge")

    def judge(self, view: View) -> str:
        """Decide on a view and record it, in one round trip: "" when it counts, else the reason."""
        answer = self._judge(keys=[self.keys.rule()], args=[self.keys.rule(), *arguments(view)])
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def live_keys(self) -> dict[str, int]:
        """How many keys the rules hold: views (cooldown and once a day), sessions, daily limits. Scans all of Redis."""
        kinds = {"cooldown": "views", "viewed": "views", "session": "sessions", "daily": "daily_limits"}
        found = dict.fromkeys(kinds.values(), 0)
        prefix = self.keys.rule()
        for raw in self.client.scan_iter(match=_escaped(prefix) + "*", count=SCAN_COUNT):
            key = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
            kind = kinds.get(key.removeprefix(prefix).partition(":")[0])
            if kind:
                found[kind] += 1
        return found


def _escaped(prefix: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[]\\^-" else sign for sign in prefix)
