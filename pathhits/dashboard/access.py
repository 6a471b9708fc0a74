"""Who may see the dashboard. Closed unless a password, an ``authorize`` function or DASHBOARD_PUBLIC opens it."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from flask import Request, g
from redis import RedisError
from werkzeug.security import check_password_hash

from pathhits.core.clients import client_address
from pathhits.dashboard.api.endpoints import ENDPOINTS
from pathhits.dashboard.sessions import Session, Sessions
from pathhits.errors import PathHitsError, StoreUnavailable
from pathhits.logs import Complaints
from pathhits.middleware.wsgi import EnvironReader
from pathhits.settings import Settings
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.dashboard import DashboardStore

Authorize = Callable[[Request], Any]

CLOSED = (
    "The dashboard is closed. Set PATHHITS_DASHBOARD_PASSWORD to open it with a password, give an authorize(request) "
    "function where it is mounted, or set PATHHITS_DASHBOARD_PUBLIC=1 to show its counts to everybody.\n"
)
#: Tries to log in that one client has in `LOGIN_WINDOW`.
LOGIN_TRIES = 10
#: Characters of a password that is looked at: a hash of more costs a long time.
LONGEST_PASSWORD = 1_024
#: What werkzeug's hashes begin with.
HASHED = ("scrypt:", "pbkdf2:")
#: Pages that show more than counts, and so are never public: those of what the API keeps private.
PRIVATE = frozenset(endpoint.name for endpoint in ENDPOINTS if endpoint.private)
#: Endpoints that are there for who has logged in also while Redis is away.
WITHOUT_REDIS = frozenset(("health", "meaning", "api_health", "api_health_json", "api_health_csv"))


class TooManyTries(Exception):
    """This client has to wait before it tries again."""


class Access:
    """Answers who may do what; a session is read once a request and kept in ``flask.g``."""

    def __init__(self, settings: Settings, store: DashboardStore, authorize: Authorize | None = None) -> None:
        self._settings = settings
        self._store = store
        self._authorize = authorize
        self._reader = EnvironReader(settings.believed_header)
        self.sessions = Sessions(settings, store)
        self._complain = Complaints(logging.getLogger("pathhits"))

    @property
    def is_closed(self) -> bool:
        """Whether nobody may see anything, as nothing was said about who may."""
        return not (self._authorize or self._settings.dashboard_password or self._settings.dashboard_public)

    @property
    def has_login(self) -> bool:
        """Whether there is a password to log in with."""
        return bool(self._settings.dashboard_password)

    def may_read(self, request: Request) -> bool:
        """Whether this request may see counts."""
        return self._settings.dashboard_public or self.may_act(request)

    def may_act(self, request: Request) -> bool:
        """Whether it may see all there is, and press buttons."""
        if self._authorize is not None and self._authorize(request):
            return True
        if not self.has_login:
            return False
        session = self.session(request)
        # While Redis is away nobody knows who logged out. Then a cookie that we signed, and that has not expired, still
        # shows what is needed most: what is wrong. It shows no count, and nothing can be done with it.
        if session.doubt is not None and not (
            endpoint_of(request) in WITHOUT_REDIS and request.method in ("GET", "HEAD")
        ):
            raise session.doubt
        return session.signed_in

    def told(self, request: Request, error: PathHitsError) -> str:
        """What went wrong, which is logged, for who may know it: it names our servers. "" for everybody else."""
        self._complain("dashboard", "the dashboard cannot answer: %s", error)
        return str(error) if self._may_know(request) else ""

    def _may_know(self, request: Request) -> bool:
        if self._authorize is not None and self._authorize(request):
            return True
        try:
            # Also where nobody knows who logged out: they can read the same on the page of health.
            return self.has_login and self.session(request).signed_in
        except StoreUnavailable:
            return False

    def session(self, request: Request) -> Session:
        """The session of the request; may raise `StoreUnavailable`."""
        found: Session | None = g.get("pathhits_session")
        if found is None:
            found = self.sessions.of(request)
            g.pathhits_session = found
        return found

    def token(self, request: Request) -> str:
        """What the forms of this request's answer have to carry."""
        return self.sessions.token(self.session(request))

    def is_ours(self, request: Request) -> bool:
        """Whether a POST comes from a form of our own."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return False
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            return False
        session = self.session(request)
        return not session.is_new and hmac.compare_digest(
            request.form.get("token", "").encode("utf-8", "surrogatepass"), self.sessions.token(session).encode()
        )

    def log_in(self, request: Request, password: str) -> bool:
        """Whether the password is right; the session is then a new one. Raises `TooManyTries`, `StoreUnavailable`."""
        who = self.sessions.keyed(f"login:{self._address(request)}")
        try:
            if self._store.attempt(who) > LOGIN_TRIES:
                raise TooManyTries
            if not self._is_right(password):
                return False
            self._store.forgive(who)
        except RedisError as error:
            raise StoreUnavailable(explain(error, self._settings.redis_url)) from error
        g.pathhits_session = self.sessions.begin()
        return True

    def log_out(self, request: Request) -> None:
        """End the session, in every process."""
        try:
            self.sessions.end(self.session(request))
        except RedisError as error:
            raise StoreUnavailable(explain(error, self._settings.redis_url)) from error

    def _is_right(self, given: str) -> bool:
        wanted = self._settings.dashboard_password
        if not wanted or len(given) > LONGEST_PASSWORD:
            return False
        if wanted.startswith(HASHED):
            return check_password_hash(wanted, given)
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass"))

    def _address(self, request: Request) -> str:
        exchange = self._reader.read(request.environ)
        return client_address(exchange.peer, exchange.forwarded, self._settings.trusted_proxies)


def endpoint_of(request: Request) -> str:
    """The name of the endpoint, without that of the blueprint."""
    return (request.endpoint or "").rpartition(".")[2]
