"""The newest snapshot, where it is found fastest."""

from __future__ import annotations

import redis

from pathhits.storage.redis.keys import SNAPSHOT_TTL, Keys


class SnapshotCopy:
    """One text; each method may raise `redis.RedisError`."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._key = keys.snapshot()

    def get(self) -> bytes | None:
        """The text of the newest snapshot, None when there is none."""
        found = self._client.get(self._key)
        return found.encode() if isinstance(found, str) else found

    def put(self, text: str) -> None:
        """Replace it."""
        self._client.set(self._key, text, ex=SNAPSHOT_TTL)
