"""Which version of something that is computed now and then is the present one, so that processes may remember it."""

from __future__ import annotations

import secrets
from typing import Any

import redis

from pathhits.storage.redis.keys import CHANGING_TTL

#: What stands in for a version while the thing is being changed: what is read then is not remembered.
CHANGING = ""


class Version:
    """The version under one key; every method may raise `redis.RedisError`.

    It is `CHANGING` from before a change is committed until after it. Who dies in between leaves that behind, which
    goes by itself, and what was read before it has an older version: nothing outdated is ever remembered as new.
    """

    def __init__(self, client: redis.Redis, key: str) -> None:
        self._client = client
        self._key = key

    def get(self) -> str:
        """The present version; `CHANGING` when what is read now must not be remembered."""
        found = self._client.get(self._key)
        if found is None:
            self._client.set(self._key, secrets.token_hex(8), nx=True)
            found = self._client.get(self._key)
        return _text(found)

    def changing(self) -> None:
        """Say that a change is about to be committed."""
        self._client.set(self._key, CHANGING, ex=CHANGING_TTL)

    def changed(self) -> None:
        """Say that it was."""
        self._client.set(self._key, secrets.token_hex(8))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or CHANGING)
