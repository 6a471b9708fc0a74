"""The dashboard's side of Redis: the key that signs its sessions, tries to log in, and sessions that were ended."""

from __future__ import annotations

import secrets

import redis

from pathhits.storage.redis.keys import LOGIN_WINDOW, SESSION_TTL, Keys


class DashboardStore:
    """What all processes that show the dashboard share; every method may raise `redis.RedisError`."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self.client = client
        self.keys = keys

    def secret(self) -> bytes:
        """The random key of this namespace, made by whoever asks first."""
        name = self.keys.dashboard_secret()
        with self.client.pipeline(transaction=True) as pipe:
            pipe.set(name, secrets.token_hex(32), nx=True)
            pipe.get(name)
            found = pipe.execute()[1]
        return found if isinstance(found, bytes) else str(found).encode()

    def attempt(self, who: str) -> int:
        """Note a try to log in; how many there were, with this one, since the first of `LOGIN_WINDOW` seconds."""
        name = self.keys.dashboard_login(who)
        with self.client.pipeline(transaction=True) as pipe:
            pipe.set(name, 0, ex=LOGIN_WINDOW, nx=True)
            pipe.incr(name)
            return int(pipe.execute()[1])

    def forgive(self, who: str) -> None:
        """Forget the tries of one who got in."""
        self.client.delete(self.keys.dashboard_login(who))

    def end(self, session: str) -> None:
        """Have a session be over for every process, for as long as its cookie would hold."""
        self.client.set(self.keys.dashboard_ended(session), 1, ex=SESSION_TTL)

    def has_ended(self, session: str) -> bool:
        """Whether somebody logged out of that session."""
        return bool(self.client.exists(self.keys.dashboard_ended(session)))
