"""ASGI middleware: notes what each exchange came to, and leaves every message of it alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from operator import itemgetter
from typing import Any
from urllib.parse import unquote_to_bytes

from pathhits.capture.exchange import PURPOSE_HEADERS, Exchange, current, is_disconnect, later
from pathhits.capture.recorder import Recorder
from pathhits.middleware.routes import AsgiRoutes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[Any]]
#: Any ASGI app; each framework has its own types for what it takes.
AsgiApp = Callable[[Any, Any, Any], Awaitable[Any]]

#: Where the exchange is found by adapters inside the app.
SCOPE_KEY = "pathhits.exchange"
#: The messages that end a response, unless they say ``more_body``.
_LAST = frozenset(("http.response.body", "http.response.pathsend", "http.response.zerocopysend"))
#: What nearly every scope has, fetched at once.
_USUAL = ("method", "path", "root_path", "client", "headers", "query_string")
_usual = itemgetter(*_USUAL)
#: What is taken of a request's headers; that of the proxies comes to it.
_PURPOSES = tuple(name.encode() for name in PURPOSE_HEADERS)
_TAKEN = (b"user-agent", b"referer", b"cookie", b"sec-gpc", b"host", b"accept-language", *_PURPOSES)


def _header(name: bytes) -> Any:
    return later(lambda exchange: exchange.taken.get(name, b"").decode("latin-1"))


class ScopeExchange(Exchange):
    """An exchange that has taken the little it needs from a scope, and looks at it when it is asked.

    What is taken is held until the flush, in memory that the next request would have used while it is warm. So to hold
    all headers would cost more than to look for those that are needed.
    """

    #: Headers by their names, and that of the proxies by none.
    taken: dict[bytes, bytes]
    client: Any
    #: The query string as the client gave it.
    searched: bytes | None
    #: The content type as the app gave it.
    typed = b""

    user_agent = _header(b"user-agent")
    referrer = _header(b"referer")
    cookies = _header(b"cookie")
    privacy = _header(b"sec-gpc")
    purpose = later(lambda self: next(filter(None, map(self.taken.get, _PURPOSES)), b"").decode("latin-1"))
    host = _header(b"host")
    languages = _header(b"accept-language")
    forwarded = _header(b"")
    query = later(lambda self: self.searched.decode("latin-1") if self.searched else "")
    peer = later(lambda self: self.client[0] if self.client else "")
    content_type = later(lambda self: self.typed.decode("latin-1"))


def count_asgi(
    app: AsgiApp,
    recorder: Recorder,
    proxy_header: str,
    at_shutdown: Callable[[], Awaitable[None]],
    *,
    has_lifespan: bool = True,
    as_request: Callable[[Any], Any] | None = None,
) -> AsgiApp:
    """``app`` with its HTTP requests counted; websockets pass, the end of the lifespan calls ``at_shutdown`` first.

    ``proxy_header`` is "" where no proxy is trusted. What is returned is a plain function, as the call of an object
    would cost every request more.
    """
    wanted = _wanted(proxy_header)
    note_route, item_routes = AsgiRoutes(app).note, recorder.item_routes
    asking = recorder.asking
    record = recorder.record

    async def counted(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            return await other(scope, receive, send)
        try:
            exchange = _begun(scope, wanted)
            if exchange is not None:
                token = current.set(exchange)
                if asking.wanted:
                    exchange.request = partial(as_request, scope) if as_request is not None else lambda: scope
        except Exception as error:
            recorder.broken(error)
            exchange = None
        if exchange is None:
            return await app(scope, receive, send)
        complete = False

        async def received() -> Message:
            message = await receive()
            if _type_of(message) == "http.disconnect":
                exchange.gone = True
            return message

        async def sent(message: Message) -> Any:
            nonlocal complete
            try:
                kind = message["type"]
                last = kind in _LAST and not complete and not message.get("more_body")
                if kind == "http.response.start":
                    _note_response(exchange, message)
            except Exception:
                # An app that breaks the protocol; its server is the one to say so.
                last = False
            try:
                result = await send(message)
            except BaseException as error:
                exchange.gone = exchange.gone or is_disconnect(error)
                raise
            if last:
                # What the app does from here on (background tasks) is not part of the response any more.
                complete = True
                finish(scope, exchange)
            return result

        failed = True
        try:
            result = await app(scope, received, sent)
        except (Exception, KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            # Cancelled, as a server does when the client has gone, is not failed.
            failed = False
            raise
        finally:
            current.put_back(token)
            if not complete:
                exchange.failed = failed and not exchange.gone
                finish(scope, exchange)
        return result

    async def other(scope: Scope, receive: Receive, send: Send) -> Any:
        """Websockets, the lifespan, and what else there may be."""
        if scope["type"] == "lifespan":
            send = _flushing(send, at_shutdown)
            if not has_lifespan:
                return await _live(receive, send)
        return await app(scope, receive, send)

    def finish(scope: Scope, exchange: Exchange) -> None:
        try:
            if exchange.pattern is None and exchange.name is None and exchange.method == "GET":
                note_route(scope, exchange)
        except Exception as error:
            recorder.unlabelled(exchange, error)
        if item_routes:
            exchange.params = scope.get("path_params")
        if asking.wanted:
            recorder.attend(exchange)
        record(exchange)

    return counted


def read_scope(scope: Scope, proxy_header: str) -> Exchange:
    """The exchange of a request that is not counted."""
    alone = {name: value for name, value in scope.items() if name != SCOPE_KEY}
    exchange = _begun(alone, _wanted(proxy_header))
    assert exchange is not None
    return exchange


def path_below_root(scope: Scope) -> str:
    """The path of a request below the place at which the server mounts the app, not decoded anew."""
    path: str = scope["path"]
    return path[len(_root(scope, path)) :]


def _wanted(proxy_header: str) -> dict[bytes, bytes]:
    """The headers to be taken, and the names they are taken by: ours, so that those of the request are let go."""
    wanted = dict(zip(_TAKEN, _TAKEN, strict=True))
    if proxy_header:
        wanted[proxy_header.lower().encode("latin-1")] = b""
    return wanted


def _begun(scope: Scope, wanted: Mapping[bytes, bytes]) -> ScopeExchange | None:
    """The exchange that begins here; None when a middleware further out counts it already."""
    if SCOPE_KEY in scope and scope[SCOPE_KEY].under_way:
        return None
    exchange = ScopeExchange()
    usual: Iterable[Any]
    try:
        usual = _usual(scope)
    except KeyError:
        usual = map(scope.get, _USUAL)
    exchange.method, path, root, exchange.client, headers, exchange.searched = usual
    if type(headers) is not list and iter(headers) is headers:
        headers = scope["headers"] = list(headers)
    # A loop, as to make a dictionary of all headers takes longer.
    taken = exchange.taken = {}
    for name, value in headers:
        if name in wanted:
            name = wanted[name]
            if name in taken:
                # As HTTP/2 may do with cookies, and proxies with theirs.
                value = taken[name] + (b"; " if name == b"cookie" else b",") + value
            taken[name] = value
    exchange.path = path if path.isascii() else _path(scope)
    exchange.root = _root(scope, path) if root else ""
    # They are looked at before they are set, and are found in the exchange sooner than on its class.
    exchange.name = exchange.pattern = None
    scope[SCOPE_KEY] = exchange
    return exchange


def _flushing(send: Send, at_shutdown: Callable[[], Awaitable[None]]) -> Send:
    async def sent(message: Message) -> Any:
        if _type_of(message).startswith("lifespan.shutdown."):
            try:
                await at_shutdown()
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


def _note_response(exchange: ScopeExchange, message: Message) -> None:
    """Take status and content type from the start of a response."""
    status = exchange.status = int(message["status"])
    headers = message.get("headers", ())
    if type(headers) is not list and iter(headers) is headers:
        # It can be read once, and that is the server's to do.
        return
    for name, value in headers:
        if name == b"content-type":
            exchange.typed = value
            if status != 206:
                return
        elif len(name) == 12 and name.lower() == b"content-type":
            exchange.typed = value
        elif len(name) == 13 and name.lower() == b"content-range":
            exchange.content_range = value.decode("latin-1")
