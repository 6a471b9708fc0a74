"""Signed session cookies of the dashboard: its own, so that it needs no secret of the app it is mounted in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from threading import Lock

from flask import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from redis import RedisError

from pathhits.errors import StoreUnavailable
from pathhits.settings import Settings
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.dashboard import DashboardStore
from pathhits.storage.redis.keys import SESSION_TTL

COOKIE = "pathhits_session"


@dataclass(frozen=True, slots=True)
class Session:
    """One browser: a random id, whether it logged in, and whether its cookie has yet to be sent."""

    id: str
    signed_in: bool = False
    is_new: bool = False


class Sessions:
    """Reads and writes the cookie; its key is the same in every process, and another one for another password."""

    def __init__(self, settings: Settings, store: DashboardStore) -> None:
        self._settings = settings
        self._store = store
        self._key = b""
        self._lock = Lock()

    def of(self, request: Request) -> Session:
        """The session of a request; a new one where it has none that holds. May raise `StoreUnavailable`."""
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
        value = self._serializer().dumps([session.id, int(session.signed_in)])
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
        try:
            identity, signed_in = self._serializer().loads(text, max_age=SESSION_TTL)
        except (BadSignature, ValueError, TypeError):
            return None
        if signed_in and self._has_ended(identity):
            return None
        return Session(identity, bool(signed_in))

    def _has_ended(self, identity: str) -> bool:
        try:
            return self._store.has_ended(identity)
        except RedisError as error:
            raise StoreUnavailable(explain(error, self._settings.redis_url)) from error

    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            self._secret(), salt="pathhits.dashboard", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def _secret(self) -> bytes:
        with self._lock:
            if not self._key:
                self._key = hashlib.sha256(self._shared() + b"\0" + self._settings.dashboard_password.encode()).digest()
            return self._key

    def _shared(self) -> bytes:
        if self._settings.secret:
            return self._settings.secret.encode()
        try:
            return self._store.secret()
        except RedisError as error:
            raise StoreUnavailable(explain(error, self._settings.redis_url)) from error
