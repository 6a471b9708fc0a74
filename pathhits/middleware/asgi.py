"""ASGI middleware: notes what each exchange came to, and leaves every message of it alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from pathhits.capture.exchange import PURPOSE_HEADERS, Exchange, current
from pathhits.capture.recorder import Recorder

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
#: Reads the route a framework left in the scope into the exchange.
NoteRoute = Callable[[Scope, Exchange], None]

#: Where the exchange is found by adapters inside the app.
SCOPE_KEY = "pathhits.exchange"
_PURPOSE = frozenset(name.encode() for name in PURPOSE_HEADERS)


def note_nothing(scope: Scope, exchange: Exchange) -> None:
    """No framework: the path itself makes the label."""


class AsgiMiddleware:
    """Wraps an ASGI app; HTTP is counted, websockets pass, the end of the lifespan calls ``at_shutdown`` first."""

    def __init__(
        self,
        app: AsgiApp,
        recorder: Recorder,
        proxy_header: str,
        opt_out_cookie: str,
        at_shutdown: Callable[[], Awaitable[None]],
        note_route: NoteRoute = note_nothing,
    ) -> None:
        self.app = app
        self._record = recorder.record
        self._proxy_header = proxy_header.lower().encode("latin-1")
        self._opt_out = f"{opt_out_cookie}=".encode() if opt_out_cookie else b""
        self._at_shutdown = at_shutdown
        self._note_route = note_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, self._flushing(send))
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange(scope)
        scope[SCOPE_KEY] = exchange
        # The client's going away is not the app's failure, though its next send may raise.
        gone = False
        sending = False

        async def received() -> Message:
            nonlocal gone
            message = await receive()
            if message["type"] == "http.disconnect":
                gone = True
            return message

        async def sent(message: Message) -> None:
            nonlocal sending
            if message["type"] == "http.response.start":
                _note_response(exchange, message)
            sending = True
            await send(message)
            sending = False

        token = current.set(exchange)
        try:
            await self.app(scope, received, sent)
        except asyncio.CancelledError:
            # A server cancels when the client has gone.
            raise
        except BaseException:
            exchange.failed = not (gone or sending)
            raise
        finally:
            _reset(token)
            if exchange.method == "GET" and exchange.name is None and exchange.pattern is None:
                self._noted_route(scope, exchange)
            self._record(exchange)

    def _noted_route(self, scope: Scope, exchange: Exchange) -> None:
        try:
            self._note_route(scope, exchange)
        except Exception:
            exchange.name = exchange.pattern = None

    def _exchange(self, scope: Scope) -> Exchange:
        forwarded: list[bytes] = []
        user_agent = purpose = b""
        anonymous = False
        for name, value in scope["headers"]:
            if name == b"user-agent":
                user_agent = value
            elif name == self._proxy_header:
                forwarded.append(value)
            elif name == b"sec-gpc":
                anonymous = anonymous or value == b"1"
            elif name in _PURPOSE:
                purpose = purpose or value
            elif name == b"cookie" and self._opt_out and self._opt_out in value:
                anonymous = True
        client = scope.get("client")
        return Exchange(
            scope["method"],
            _path(scope),
            client[0] or "" if client else "",
            b",".join(forwarded).decode("latin-1") if forwarded else "",
            user_agent.decode("latin-1"),
            purpose.decode("latin-1"),
            anonymous,
        )

    def _flushing(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await self._at_shutdown()
            await send(message)

        return sent


def _path(scope: Scope) -> str:
    """The decoded path; from the raw bytes where decoding has lost some."""
    path: str = scope["path"]
    raw = scope.get("raw_path")
    if raw and "\ufffd" in path:
        return unquote_to_bytes(raw.partition(b"?")[0]).decode("utf-8", "surrogateescape")
    return path


def _note_response(exchange: Exchange, message: Message) -> None:
    try:
        exchange.status = int(message["status"])
        if exchange.method != "GET":
            return
        for name, value in message.get("headers", ()):
            size = len(name)
            if size == 12 and name.lower() == b"content-type":
                exchange.content_type = value.decode("latin-1")
            elif size == 13 and name.lower() == b"content-range":
                exchange.content_range = value.decode("latin-1")
    except Exception:
        # Only an app that breaks the protocol gets here; its server is the one to say so.
        exchange.status = exchange.status or 0


def _reset(token: Any) -> None:
    try:
        current.reset(token)
    except ValueError:
        # The server ran the end of the app in another context; the variable dies with it.
        pass
