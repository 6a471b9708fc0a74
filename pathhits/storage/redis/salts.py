"""Random salts of visitor hashes: made once a period by whoever comes first, gone 48 h after it."""

from __future__ import annotations

import secrets
import time
from math import isinf
from typing import cast

import redis

from pathhits.core.visitors import SALT_BYTES, SALT_KEPT_AFTER, period_end
from pathhits.storage.redis.keys import Keys


class SaltStore:
    """Salts by period; raises `redis.RedisError` when Redis does not answer."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self.client = client
        self.keys = keys

    def get(self, period: str) -> bytes | None:
        """The salt all processes share in ``period``, made when there is none; None when the period is long over."""
        key = self.keys.salt(period)
        left = period_end(period) + SALT_KEPT_AFTER - time.time()
        if isinf(left) or left < 1:
            return None
        self.client.set(key, secrets.token_bytes(SALT_BYTES), nx=True, ex=int(left))
        return cast("bytes | None", self.client.get(key))
