"""Signed session cookies of the dashboard: its own, so that it needs no secret of the app it is mounted in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from threading import Lock
from time import monotonic

from flask import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from redis import RedisError

from pathhits.errors import StoreUnavailable
from pathhits.settings import Settings
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.dashboard import DashboardStore
from pathhits.storage.redis.keys import SESSION_TTL

COOKIE = "pathhits_session"
#: Seconds after which the key is read again: where it was deleted, nobody is logged in any more by then.
KEY_KEPT = 5.0
#: Seconds between two looks at the key because of a cookie that it did not sign: forged ones ask Redis no more often.
KEY_DOUBTED = 1.0


@dataclass(frozen=True, slots=True)
class Session:
    """One browser: a random id, whether it logged in, and whether its cookie has yet to be sent.

    ``doubt`` is why it cannot be known whether it was ended: Redis is away, which would say so.
    """

    id: str
    signed_in: bool = False
    is_new: bool = False
    doubt: StoreUnavailable | None = None


class Sessions:
    """Reads and writes the cookie; its key is the same in every process, and another one for another password."""

    def __init__(self, settings: Settings, store: DashboardStore) -> None:
        self._settings = settings
        self._store = store
        self._key = b""
        self._read_at = 0.0
        self._lock = Lock()

    def of(self, request: Request) -> Session:
        """The session of a request; a new one where it has none that holds. May raise `StoreUnavailable`.

        That is where the key was never read. Of one that Redis cannot say more of, the session has a ``doubt``.
        """
        text = request.cookies.get(COOKIE, "")
        found = self._read(text) if text else None
        return found or self.fresh()

    def fresh(self) -> Session:
        """A session of nobody yet: its forms are known to be ours."""
        return Session(secrets.token_hex(16), is_new=True)

    def begin(self) -> Session:
        """The session of somebody who has just logged in; never the id that was there before."""
        return Session(secrets.token_hex(16), signed_in=True, is_new=True)

    def end(self, session: Session) -> None:
        """Have it hold no longer, whoever has the cookie. May raise `redis.RedisError`."""
        self._store.end(session.id)

    def write(self, session: Session, response: Response, path: str, *, secure: bool) -> None:
        """Send the cookie, for the dashboard's own paths alone."""
        value = self._serializer(self._secret()).dumps([session.id, int(session.signed_in)])
        response.set_cookie(
            COOKIE,
            value,
            max_age=SESSION_TTL,
            path=path,
            secure=secure,
            httponly=True,
            samesite="Lax",
        )

    def token(self, session: Session) -> str:
        """What a form of this session has to send along, so that no other site can send it."""
        return self.keyed(f"csrf:{session.id}")

    def keyed(self, text: str) -> str:
        """A keyed hash: the same in every process, and of no use without the key."""
        return hmac.new(self._secret(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    def _read(self, text: str) -> Session | None:
        key = self._secret()
        found = self._opened(text, key)
        if found is None and (other := self._another(key)):
            found = self._opened(text, other)
        if found is None or not found.signed_in:
            return found
        try:
            return None if self._store.has_ended(found.id) else found
        except RedisError as error:
            return replace(found, doubt=StoreUnavailable(explain(error, self._settings.redis_url)))

    def _opened(self, text: str, key: bytes) -> Session | None:
        """The session in a cookie that the key signed, and not too long ago."""
        try:
            identity, signed_in = self._serializer(key).loads(text, max_age=SESSION_TTL)
        except (BadSignature, ValueError, TypeError):
            return None
        return Session(identity, bool(signed_in))

    def _serializer(self, key: bytes) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(key, salt="pathhits.dashboard", signer_kwargs={"digest_method": hashlib.sha256})

    def _secret(self) -> bytes:
        """The key; read again when it was read some time ago. While Redis is away it is the one that is known."""
        if not self._key:
            with self._lock:
                if not self._key:
                    self._read_key()
        elif monotonic() >= self._read_at + KEY_KEPT and self._lock.acquire(blocking=False):
            # Whoever comes meanwhile goes on with the key that is known.
            try:
                self._read_key()
            except StoreUnavailable:
                pass
            finally:
                self._lock.release()
        return self._key

    def _another(self, key: bytes) -> bytes:
        """The key when it is another one by now than ``key``, b"" when it is not."""
        with self._lock:
            if monotonic() >= self._read_at + KEY_DOUBTED:
                try:
                    self._read_key()
                except StoreUnavailable:
                    pass
            return self._key if self._key != key else b""

    def _read_key(self) -> None:
        """Read it, or have it made where it is gone. May raise `StoreUnavailable`; the next try is then as far away."""
        self._read_at = monotonic()
        self._key = hashlib.sha256(self._shared() + b"\0" + self._settings.dashboard_password.encode()).digest()

    def _shared(self) -> bytes:
        if self._settings.secret:
            return self._settings.secret.encode()
        try:
            return self._store.secret()
        except RedisError as error:
            raise StoreUnavailable(explain(error, self._settings.redis_url)) from error
