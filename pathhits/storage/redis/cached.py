"""What an app has cached: values that are made once, and deleted by name or by group.

The classical race is closed by a lease: who finds no value gets a token, and a deletion takes it away. What was made
from before the deletion is then not stored. A group is a token too, that is kept beside each of its values.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from pathhits.storage.redis.keys import CACHE_GROUP_KEPT, CACHE_LEASE, Keys
from pathhits.storage.redis.scripts import script

#: A value is made anew by one reader in the last part of its time, while the others still get it.
AHEAD = 0.1


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to `CacheStore.take`: the ``text`` of a value, or the ``token`` of the lease to make it, or neither.

    Neither: another one is making it.
    """

    text: str | None = None
    token: str = ""


class CacheStore:
    """Values as text; every method may raise `redis.RedisError`."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._take = script(client, "cache_take")
        self._put = script(client, "cache_put")

    def take(self, name: str, groups: Sequence[str], ttl: float) -> Taken:
        """The value of that name, else the lease to make one that is kept for ``ttl`` seconds."""
        token = secrets.token_hex(8)
        times = (CACHE_LEASE, ttl + CACHE_LEASE + CACHE_GROUP_KEPT, ttl * AHEAD)
        kind, *text = self._take(keys=self._of(name, groups), args=[token, *(round(1000 * one) for one in times)])
        if kind == 1:
            return Taken(text[0].decode() if isinstance(text[0], bytes) else str(text[0]))
        return Taken(token=token if kind == 0 else "")

    def put(self, name: str, groups: Sequence[str], ttl: float, token: str, text: str) -> bool:
        """Store what the holder of the lease has made; whether that was still wanted. "" only gives the lease back."""
        milliseconds = max(1, round(1000 * ttl))
        return bool(self._put(keys=self._of(name, groups), args=[token, milliseconds, text]))

    def delete(self, names: Sequence[str], groups: Sequence[str]) -> int:
        """Delete values by name, and all values of groups; nobody who began to make one before can store it.

        How many keys that were.
        """
        keys = [key for name in names for key in (self._keys.cached(name), self._keys.cache_lease(name))]
        keys += [self._keys.cache_group(group) for group in groups]
        return int(self._client.delete(*keys)) if keys else 0

    def _of(self, name: str, groups: Sequence[str]) -> list[str]:
        keys = self._keys
        return [keys.cached(name), keys.cache_lease(name), *(keys.cache_group(group) for group in groups)]
