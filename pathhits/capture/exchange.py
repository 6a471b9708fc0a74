"""One request and its response, as far as counting needs them: filled by a middleware, read by the recorder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any

#: Headers whose value says that a browser fetches ahead of a visitor who may never look.
PURPOSE_HEADERS = ("sec-purpose", "purpose", "x-moz", "x-purpose")

#: `Exchange.user` before the app was asked.
UNASKED: Any = object()

#: `Exchange.pattern` where a framework looked for a route and found none.
UNMATCHED = ""


class _Later:
    """An attribute that is computed whenever it is asked for, unless it was set. What comes out is not kept in the
    exchange: each that is made thereafter would have a place for it."""

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self._compute = compute

    def __get__(self, exchange: Any, owner: type) -> Any:
        return self._compute(exchange)


def later(compute: Callable[[Any], Any]) -> Any:
    """Declares an attribute of an exchange that is computed for who asks: that is the flusher, mostly."""
    return _Later(compute)


class Exchange:
    """What a middleware learns of one HTTP exchange; adapters inside may set ``name`` and ``pattern``.

    ``path`` is the decoded URL path, ``root`` its beginning at which the server mounts the app, and which is no part
    of a label. ``peer`` is the address of the connection, ``forwarded`` the proxy header; they stay in this process:
    what leaves it is the label and a keyed hash. Of ``referrer``, the page the client says it comes from, only the
    host does, and of ``query``, the query string with its bytes as latin-1, only the campaign. ``gone`` says that the
    client went away before the end, ``failed`` that the app broke its response.
    ``params`` are what the route took out of the path, ``viewed`` the views that the app asked about meanwhile, as
    `Step.shown` has them. ``excluded`` says that who answers it does not want it counted. ``moment`` is when it was
    over (unix seconds), 0 before.
    """

    # What the response has not said (yet). On the class, so that making an exchange costs nothing for them.
    moment: float = 0.0
    status: int = 0
    content_type: str = ""
    content_range: str = ""
    name: str | None = None
    pattern: str | None = None
    params: Mapping[str, Any] | None = None
    # Name and pattern may be left to `resolve`, which makes them of the rule and the mount it was found under.
    resolve: Resolve | None = None
    rule: Any = None
    mount: str = ""
    viewed: tuple[tuple[str, str], ...] = ()
    excluded: bool = False
    failed: bool = False
    gone: bool = False
    # What only the app knows, see `pathhits.capture.asking`: gives the request while that is there, and the answers.
    request: Callable[[], Any] | None = None
    user: str | None = UNASKED
    item: tuple[str, str] | None = None

    # Of the request: its line, its connection, and headers, "" where it has none.
    method: str
    path: str
    root: str
    peer: str
    forwarded: str
    user_agent: str
    referrer: str
    purpose: str
    cookies: str
    privacy: str
    host: str
    query: str
    languages: str

    @property
    def under_way(self) -> bool:
        """Whether its response has not begun: a counting middleware further in leaves it to the one that made it."""
        return self.status == 0 and not self.failed

    def forget_route(self) -> None:
        """Have it go by its path, as the route could not be read."""
        self.name = self.pattern = self.resolve = None


#: Sets the name and pattern of an exchange.
Resolve = Callable[[Exchange], None]


class _Current:
    """The exchange that the app is busy with, so that `PathHits.track_hit` in a view knows whose request it is. A
    middleware puts back what was there before: a view may ask another app that is counted.

    To set a contextvar and to put it back is among what costs a request most. So where a framework has one that leads
    to the exchange, its integration tells how to `find` it there.
    """

    def __init__(self) -> None:
        var: ContextVar[Exchange | None] = ContextVar("pathhits_exchange", default=None)
        self._finds: tuple[Callable[[], Exchange | None], ...] = ()
        self.set, self.get_set, self._reset = var.set, var.get, var.reset

    def get(self) -> Exchange | None:
        """The exchange in progress, None where there is none; ``get_set`` gives only one that was ``set``."""
        exchange = self.get_set()
        if exchange is None:
            exchange = next(filter(None, (find() for find in self._finds)), None)
        return exchange

    def put_back(self, token: Token[Exchange | None]) -> None:
        """Undo the ``set`` that gave the token."""
        try:
            self._reset(token)
        except ValueError:
            # A coroutine that was given up may be closed in another context, where nothing was set.
            pass

    def find(self, how: Callable[[], Exchange | None]) -> None:
        """Have ``how`` asked as well."""
        if how not in self._finds:
            self._finds = (*self._finds, how)


current = _Current()


def is_disconnect(error: BaseException) -> bool:
    """Whether an error that a server raised while it sent says that the client has gone.

    Servers raise an OSError, as ASGI asks them to; waitress has a ClientDisconnected of its own. What else they
    raise says that the app broke the protocol.
    """
    return isinstance(error, OSError) or type(error).__name__.startswith("ClientDisconnect")
