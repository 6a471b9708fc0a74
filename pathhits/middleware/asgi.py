"""ASGI middleware: notes what each exchange came to, and leaves every message of it alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from pathhits.capture.exchange import PURPOSE_HEADERS, Exchange, current, is_disconnect, later, leave
from pathhits.capture.recorder import Recorder
from pathhits.middleware.routes import AsgiRoutes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[Any]]
#: Any ASGI app; each framework has its own types for what it takes.
AsgiApp = Callable[[Any, Any, Any], Awaitable[Any]]
#: Reads the route a framework left in the scope into the exchange.
NoteRoute = Callable[[Scope, Exchange], None]

#: Where the exchange is found by adapters inside the app.
SCOPE_KEY = "pathhits.exchange"
#: The messages that end a response, unless they say ``more_body``.
_LAST = frozenset(("http.response.body", "http.response.pathsend", "http.response.zerocopysend"))
_PURPOSE = frozenset(name.encode() for name in PURPOSE_HEADERS)


class ScopeExchange(Exchange):
    """An exchange that keeps the request's headers as the server gave them, and reads them when it is asked."""

    def __init__(self, read: Callable[[Any, Exchange], None], headers: Any, scope: Scope) -> None:
        self._read = read
        self._headers = headers
        self.method = scope["method"]
        path: str = scope["path"]
        self.path = path if path.isascii() else _path(scope)
        self.root = _root(scope, path) if scope.get("root_path") else ""
        self._client = scope.get("client")

    peer = later(lambda self: self._client[0] if self._client else "")
    forwarded = later(lambda self: self._headers_read()["forwarded"])
    user_agent = later(lambda self: self._headers_read()["user_agent"])
    purpose = later(lambda self: self._headers_read()["purpose"])
    referrer = later(lambda self: self._headers_read()["referrer"])
    anonymous = later(lambda self: self._headers_read()["anonymous"])

    def _headers_read(self) -> dict[str, Any]:
        self.anonymous = False
        self._read(self._headers, self)
        return self.__dict__


class AsgiMiddleware:
    """Wraps an ASGI app; HTTP is counted, websockets pass, the end of the lifespan calls ``at_shutdown`` first."""

    def __init__(
        self,
        app: AsgiApp,
        recorder: Recorder,
        proxy_header: str,
        opt_out_cookie: str,
        at_shutdown: Callable[[], Awaitable[None]],
        note_route: NoteRoute | None = None,
        *,
        has_lifespan: bool = True,
    ) -> None:
        self.app = app
        self._record = recorder.record
        self._broken = recorder.broken
        self._proxy_header = proxy_header.lower().encode("latin-1")
        # Without a cookie's name: what is in no header.
        self._opt_out = f"{opt_out_cookie}=".encode() if opt_out_cookie else b"\0"
        self._at_shutdown = at_shutdown
        self._has_lifespan = has_lifespan
        self._unlabelled = recorder.unlabelled
        self._note_route = note_route or AsgiRoutes(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            return await self._other(scope, receive, send)
        try:
            exchange = self._begun(scope)
        except Exception as error:
            self._broken(error)
            exchange = None
        if exchange is None:
            return await self.app(scope, receive, send)
        complete = False

        async def received() -> Message:
            message = await receive()
            if _type_of(message) == "http.disconnect":
                exchange.gone = True
            return message

        async def sent(message: Message) -> Any:
            nonlocal complete
            last = False
            try:
                kind = message["type"]
                if kind == "http.response.start":
                    _note_response(exchange, message)
                elif not complete:
                    last = kind in _LAST and not message.get("more_body")
            except Exception:
                # An app that breaks the protocol; its server is the one to say so.
                pass
            try:
                result = await send(message)
            except BaseException as error:
                exchange.gone = exchange.gone or is_disconnect(error)
                raise
            if last:
                # What the app does from here on (background tasks) is not part of the response any more.
                complete = True
                self._finish(scope, exchange)
            return result

        token = current.set(exchange)
        failed = True
        try:
            result = await self.app(scope, received, sent)
        except (Exception, KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            # Cancelled, as a server does when the client has gone, is not failed.
            failed = False
            raise
        finally:
            leave(token)
            if not complete:
                exchange.failed = failed and not exchange.gone
                self._finish(scope, exchange)
        return result

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Websockets, the lifespan, and what else there may be."""
        if scope["type"] == "lifespan":
            send = self._flushing(send)
            if not self._has_lifespan:
                return await _live(receive, send)
        return await self.app(scope, receive, send)

    def _finish(self, scope: Scope, exchange: Exchange) -> None:
        if exchange.pattern is None and exchange.name is None and exchange.method == "GET":
            try:
                self._note_route(scope, exchange)
            except Exception as error:
                exchange.name = exchange.pattern = None
                self._unlabelled(error)
        exchange.params = scope.get("path_params")
        self._record(exchange)

    def _begun(self, scope: Scope) -> Exchange | None:
        """The exchange that begins here; None when a middleware further out counts it already."""
        if SCOPE_KEY in scope and scope[SCOPE_KEY].under_way:
            return None
        headers = scope["headers"]
        if type(headers) is not list and iter(headers) is headers:
            headers = scope["headers"] = list(headers)
        exchange = scope[SCOPE_KEY] = ScopeExchange(self._read, headers, scope)
        return exchange

    def _read(self, headers: Any, exchange: Exchange) -> None:
        """Take from the request's headers what counting needs."""
        forwarded = user_agent = purpose = referrer = b""
        for name, value in headers:
            if name == b"user-agent":
                user_agent = value
            elif name == self._proxy_header:
                forwarded = forwarded + b"," + value if forwarded else value
            elif name in _PURPOSE:
                purpose = purpose or value
            elif name == b"referer":
                referrer = value
            elif (name == b"sec-gpc" and value == b"1") or (name == b"cookie" and self._opt_out in value):
                exchange.anonymous = True
        exchange.forwarded = forwarded.decode("latin-1")
        exchange.user_agent = user_agent.decode("latin-1")
        exchange.purpose = purpose.decode("latin-1")
        exchange.referrer = referrer.decode("latin-1")

    def _flushing(self, send: Send) -> Send:
        async def sent(message: Message) -> Any:
            if _type_of(message).startswith("lifespan.shutdown."):
                try:
                    await self._at_shutdown()
                except Exception:
                    # The app goes down in its own way, whatever became of the last flush.
                    pass
            return await send(message)

        return sent


async def _live(receive: Receive, send: Send) -> None:
    """Answer the lifespan for an app that knows none, so that its server tells us when it ends."""
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


def _path(scope: Scope) -> str:
    """The decoded path; from the raw bytes where decoding has lost some."""
    path: str = scope["path"]
    raw = scope.get("raw_path")
    if raw and "\ufffd" in path:
        return unquote_to_bytes(raw.partition(b"?")[0]).decode("utf-8", "surrogateescape")
    return path


def _root(scope: Scope, path: str) -> str:
    """The beginning of ``path`` at which the server mounts the app; "" where the server takes it off itself."""
    root: str = (scope.get("root_path") or "").rstrip("/")
    return root if root and (path == root or path.startswith(root + "/")) else ""


def _type_of(message: Message) -> str:
    """The message's type; "" where an app breaks the protocol, of which its server is the one to speak."""
    try:
        kind = message["type"]
    except Exception:
        return ""
    return kind if type(kind) is str else ""


def _note_response(exchange: Exchange, message: Message) -> None:
    try:
        exchange.status = int(message["status"])
        if exchange.method != "GET":
            return
        headers = message.get("headers", ())
        if type(headers) is not list and iter(headers) is headers:
            # It can be read once, and that is the server's to do.
            return
        for name, value in headers:
            if name == b"content-type" or (len(name) == 12 and name.lower() == b"content-type"):
                exchange.content_type = value.decode("latin-1")
                if exchange.status != 206:
                    break
            elif len(name) == 13 and name.lower() == b"content-range":
                exchange.content_range = value.decode("latin-1")
    except Exception:
        # Only an app that breaks the protocol gets here; its server is the one to say so.
        pass
