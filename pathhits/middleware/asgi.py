"""ASGI middleware: notes what each exchange came to, and leaves every message of it alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from pathhits.capture.exchange import PURPOSE_HEADERS, Exchange, current, is_disconnect, leave
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
        self._opt_out = f"{opt_out_cookie}=".encode() if opt_out_cookie else b""
        self._wanted = (
            _PURPOSE | {b"user-agent", b"sec-gpc", self._proxy_header} | ({b"cookie"} if opt_out_cookie else set())
        )
        self._at_shutdown = at_shutdown
        self._has_lifespan = has_lifespan
        self._unlabelled = recorder.unlabelled
        self._note_route = note_route or AsgiRoutes(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        kind = scope["type"]
        if kind == "http":
            return await self._http(scope, receive, send)
        if kind == "lifespan":
            send = self._flushing(send)
            if not self._has_lifespan:
                return await _live(receive, send)
        return await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> Any:
        try:
            exchange = self._begun(scope)
        except Exception as error:
            self._broken(error)
            return await self.app(scope, receive, send)
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
            kind = _type_of(message)
            if kind == "http.response.start":
                _note_response(exchange, message)
            try:
                result = await send(message)
            except BaseException as error:
                exchange.gone = exchange.gone or is_disconnect(error)
                raise
            if not complete and kind in _LAST and not message.get("more_body"):
                # What the app does from here on (background tasks) is not part of the response any more.
                complete = True
                self._finish(scope, exchange)
            return result

        token = current.set(exchange)
        try:
            result = await self.app(scope, received, sent)
            exchange.failed = not exchange.gone
            return result
        except (Exception, KeyboardInterrupt, SystemExit):
            exchange.failed = not exchange.gone
            raise
        finally:
            # Cancelled, as a server does when the client has gone, is not failed.
            leave(token)
            if not complete:
                self._finish(scope, exchange)

    def _finish(self, scope: Scope, exchange: Exchange) -> None:
        if exchange.method == "GET" and exchange.name is None and exchange.pattern is None:
            self._noted_route(scope, exchange)
        exchange.params = scope.get("path_params")
        self._record(exchange)

    def _noted_route(self, scope: Scope, exchange: Exchange) -> None:
        try:
            self._note_route(scope, exchange)
        except Exception as error:
            exchange.name = exchange.pattern = None
            self._unlabelled(error)

    def _begun(self, scope: Scope) -> Exchange | None:
        """The exchange that begins here; None when a middleware further out counts it already."""
        outer = scope.get(SCOPE_KEY)
        if outer is not None and outer.under_way:
            return None
        exchange = scope[SCOPE_KEY] = self._exchange(scope)
        return exchange

    def _exchange(self, scope: Scope) -> Exchange:
        headers = scope["headers"]
        if type(headers) is not list and iter(headers) is headers:
            headers = scope["headers"] = list(headers)
        forwarded = user_agent = purpose = b""
        anonymous = False
        wanted = self._wanted
        for name, value in headers:
            if name not in wanted:
                continue
            if name == b"user-agent":
                user_agent = value
            elif name == self._proxy_header:
                forwarded = forwarded + b"," + value if forwarded else value
            elif name == b"sec-gpc":
                anonymous = anonymous or value == b"1"
            elif name == b"cookie":
                anonymous = anonymous or self._opt_out in value
            else:
                purpose = purpose or value
        client = scope.get("client")
        path = _path(scope)
        return Exchange(
            scope["method"],
            path,
            client[0] or "" if client else "",
            forwarded.decode("latin-1"),
            user_agent.decode("latin-1"),
            purpose.decode("latin-1"),
            anonymous,
            _root(scope, path),
        )

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
            size = len(name)
            if size == 12 and name.lower() == b"content-type":
                exchange.content_type = value.decode("latin-1")
            elif size == 13 and name.lower() == b"content-range":
                exchange.content_range = value.decode("latin-1")
    except Exception:
        # Only an app that breaks the protocol gets here; its server is the one to say so.
        pass
