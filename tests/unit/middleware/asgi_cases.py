"""ASGI calls of every kind, as a table: ways to send a response, times status and headers; and oddities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTasks
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.unit.middleware.harness import App, AsgiCase, AsgiServer, Message, Receive, Send, Trace

Headers = Any
Scope = dict[str, Any]
#: Makes an app that answers with a status, headers and pieces in its own way.
Kind = Callable[[Trace, int, Headers, list[bytes]], App]

HTML = [(b"content-type", b"text/html; charset=utf-8")]
THREE = [b"one", b"two", b"three"]


def start(status: int, headers: Headers, **extra: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers, **extra}


def piece(data: bytes, more: bool = True, kind: str = "http.response.body") -> Message:
    return {"type": kind, "body": data, "more_body": more}


def sends(make: Callable[[int, Headers, list[bytes]], list[Message]]) -> Kind:
    """An app that sends these messages, and writes down what each send returned."""

    def kind(trace: Trace, status: int, headers: Headers, pieces: list[bytes]) -> App:
        async def app(scope: Scope, receive: Receive, send: Send) -> str:
            trace.add("app: begins", scope["extensions"], sorted(set(scope) - {"pathhits.exchange"}))
            for message in make(status, headers, pieces):
                trace.add("app: send returned", await send(message))
            trace.add("app: ends")
            return "what no server looks at"

        return app

    return kind


def _whole(status: int, headers: Headers, pieces: list[bytes]) -> list[Message]:
    return [start(status, headers), {"type": "http.response.body", "body": b"".join(pieces)}]


def _pieces(status: int, headers: Headers, pieces: list[bytes]) -> list[Message]:
    return [start(status, headers), *map(piece, pieces), piece(b"", more=False)]


def _trailers(status: int, headers: Headers, pieces: list[bytes]) -> list[Message]:
    trailer = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False}
    return [start(status, headers, trailers=True), *map(piece, pieces), piece(b"", more=False), trailer]


def _path(status: int, headers: Headers, pieces: list[bytes]) -> list[Message]:
    return [start(status, headers), {"type": "http.response.pathsend", "path": "/srv/some/file"}]


def _zerocopy(status: int, headers: Headers, pieces: list[bytes]) -> list[Message]:
    part = {"type": "http.response.zerocopysend", "file": 7, "offset": 0, "count": 5}
    return [start(status, headers), {**part, "more_body": True}, piece(b"between"), {**part, "more_body": False}]


def _hints(status: int, headers: Headers, pieces: list[bytes]) -> list[Message]:
    return [
        {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]},
        {"type": "http.response.debug", "info": {"template": "a.html", "context": {}}},
        {"type": "http.response.push", "path": "/a.css", "headers": []},
        *_whole(status, headers, pieces),
    ]


def _bare_body(status: int, headers: Headers, pieces: list[bytes]) -> list[Message]:
    return [start(status, headers), {"type": "http.response.body"}]


def _own_keys(status: int, headers: Headers, pieces: list[bytes]) -> list[Message]:
    return [start(status, headers, mine=1), {"type": "http.response.body", "body": b"".join(pieces), "mine": [2]}]


def _in_task(trace: Trace, status: int, headers: Headers, pieces: list[bytes]) -> App:
    """The sending is done by another task."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def stream() -> None:
            for message in _pieces(status, headers, pieces):
                await send(message)

        await asyncio.gather(stream(), receive())

    return app


def _reads_first(trace: Trace, status: int, headers: Headers, pieces: list[bytes]) -> App:
    """The request's body is read before anything is sent."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        trace.add("app: received", message)
        for message in _whole(status, headers, pieces):
            await send(message)

    return app


KINDS: dict[str, Kind] = {
    "whole": sends(_whole),
    "pieces": sends(_pieces),
    "trailers": sends(_trailers),
    "pathsend": sends(_path),
    "zerocopysend": sends(_zerocopy),
    "hints": sends(_hints),
    "body without keys": sends(_bare_body),
    "keys of its own": sends(_own_keys),
    "in a task": _in_task,
    "reads first": _reads_first,
}

#: name: status, headers, pieces, verdict of a GET
SHAPES: dict[str, tuple[int, Callable[[], Headers], list[bytes], str]] = {
    "one": (200, lambda: list(HTML), [b"hello"], "hit"),
    "empty": (200, list, [], "hit"),
    "large": (200, lambda: tuple(HTML), [bytes([number]) * 70_000 for number in range(6)], "hit"),
    "cookies": (200, lambda: [(b"Set-Cookie", b"a=1"), [b"set-cookie", b"b=2"], (b"x", b"")], THREE, "hit"),
    "headers read once": (200, lambda: iter(HTML), THREE, "hit"),
    "204": (204, list, [], "status"),
    "206 first": (206, lambda: [(b"Content-Range", b"bytes 0-4/9")], [b"hello"], "hit"),
    "206 later": (206, lambda: [(b"content-range", b"bytes 5-8/9")], [b"later"], "range"),
    "304": (304, lambda: [(b"etag", b'"1"')], [], "hit"),
    "404": (404, lambda: list(HTML), THREE, "status"),
    "image": (200, lambda: [(b"Content-Type", b"image/png")], [b"\x89PNG"], "excluded"),
}


def _table() -> Iterator[AsgiCase]:
    for kind, make in KINDS.items():
        for shape, (status, headers, pieces, verdict) in SHAPES.items():
            yield AsgiCase(f"{kind}, {shape}", _made(make, status, headers, pieces), verdict)
        for method in ("HEAD", "POST"):
            yield AsgiCase(f"{kind}, {method}", _made(make, 200, list, THREE), "method", {"method": method})


def _made(make: Kind, status: int, headers: Callable[[], Headers], pieces: list[bytes]) -> Callable[[Trace], App]:
    return lambda trace: make(trace, status, headers(), pieces)


# Errors, clients that leave, and servers that fail.


def fails(
    error: Callable[[], BaseException], *before: Message, then: Callable[[], BaseException] | None = None
) -> Callable[[Trace], App]:
    """An app that raises after it sent some messages; with ``then``, when a send of it fails, that instead."""

    def make(trace: Trace) -> App:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for message in before:
                try:
                    await send(message)
                except OSError as problem:
                    trace.caught("app: caught", problem)
                    if then is not None:
                        raise trace.raises(then()) from problem
                    raise
            raise trace.raises(error())

        return app

    return make


def only(*messages: Any) -> Callable[[Trace], App]:
    """An app that sends just these and returns."""

    def make(trace: Trace) -> App:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for message in messages:
                await send(message)

        return app

    return make


def _until_disconnect(error: Callable[[], BaseException] | None = None) -> Callable[[Trace], App]:
    """Streams until it is told that the client has gone; then returns, or raises."""

    def make(trace: Trace) -> App:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start(200, HTML))
            while (message := await receive())["type"] != "http.disconnect":
                await send(piece(b"more"))
            trace.add("app: told", message)
            if error is not None:
                raise trace.raises(error())

        return app

    return make


def _cleans_up(trace: Trace) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for message in _pieces(200, HTML, THREE):
                await send(message)
        except asyncio.CancelledError as error:
            trace.add("app: cancelled", error.args)
            raise
        finally:
            trace.add("app: finally")

    return app


def _survives_cancelling(trace: Trace) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, HTML))
        try:
            await send(piece(b"one"))
        except asyncio.CancelledError:
            trace.add("app: does not care")
        await send(piece(b"two", more=False))

    return app


def _recovers(trace: Trace) -> App:
    """A send fails, the app does not mind, and then fails in a way of its own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, HTML))
        try:
            await send(piece(b"one"))
        except RuntimeError as error:
            trace.caught("app: caught", error)
        raise trace.raises(ValueError("of the app"))

    return app


def _receives_past_the_end(trace: Trace) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()

    return app


def _echo(trace: Trace) -> App:
    """Reads a body in parts and answers with each."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, HTML))
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send(piece(message.get("body", b""), more=more))

    return app


def _no_coroutine(trace: Trace) -> App:
    """An app that is a plain function giving an awaitable."""

    def app(scope: Scope, receive: Receive, send: Send) -> Any:
        trace.add("app: called")
        return sends(_whole)(trace, 200, HTML, THREE)(scope, receive, send)

    return app


def _weird(trace: Trace) -> App:
    """Messages that are none; the server is the one to complain."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in ({}, None, {"type": 7}, {"type": ["http.response.start"]}, "http.response.body"):
            await send(message)  # type: ignore[arg-type]  # that is the point
        await send({"type": "http.response.start", "status": "fine"})
        await send({"type": "http.response.start", "status": 200, "headers": [(1, 2)]})
        await send(piece(b"end", more=False))

    return app


_DISCONNECT: Message = {"type": "http.disconnect"}
_EMPTY: Message = {"type": "http.request", "body": b"", "more_body": False}
_PART: Message = {"type": "http.request", "body": b"part", "more_body": True}
_BEGUN = (start(200, HTML), piece(b"one"))
_COMPLETE = (start(200, HTML), piece(b"all", more=False))
_LEAVING = AsgiServer(incoming=(_EMPTY, _PART, _DISCONNECT))


class Halt(BaseException):
    """An error that is no Exception, as trio's Cancelled is."""


_SPECIAL = [
    AsgiCase("raises", fails(lambda: ValueError("at once", 7)), "failed"),
    AsgiCase("raises after start", fails(lambda: ValueError("then"), start(200, HTML)), "failed"),
    AsgiCase("raises mid-stream", fails(lambda: ValueError("third"), *_BEGUN), "failed"),
    AsgiCase("raises OSError mid-stream", fails(lambda: ConnectionResetError("its database"), *_BEGUN), "failed"),
    AsgiCase("raises SystemExit mid-stream", fails(lambda: SystemExit(3), *_BEGUN), "failed"),
    AsgiCase("raises StopAsyncIteration", fails(lambda: StopAsyncIteration("x"), *_BEGUN), "failed"),
    AsgiCase(
        "raises a group", fails(lambda: ExceptionGroup("two", [ValueError("a"), OSError("b")]), *_BEGUN), "failed"
    ),
    AsgiCase("raises after the end", fails(lambda: ValueError("in a background task"), *_COMPLETE), "hit"),
    AsgiCase("cancelled by itself", fails(lambda: asyncio.CancelledError("leaving"), *_BEGUN), "hit"),
    AsgiCase("cancelled before start", fails(lambda: asyncio.CancelledError()), "failed"),
    AsgiCase("a BaseException of the loop's", fails(lambda: Halt("cancelled"), *_BEGUN), "hit"),
    AsgiCase("HEAD raises", fails(lambda: ValueError("x")), "method", {"method": "HEAD"}),
    AsgiCase("404 raises", fails(lambda: ValueError("x"), start(404, HTML), piece(b"", more=False)), "status"),
    AsgiCase("returns without a word", only(), "failed"),
    AsgiCase("returns mid-stream", only(*_BEGUN), "failed"),
    AsgiCase("goes on after the end", only(*_COMPLETE, piece(b"late"), piece(b"", more=False)), "hit"),
    AsgiCase("server cancels at start", _cleans_up, "hit", server=AsgiServer(cancels_at=0)),
    AsgiCase("server cancels mid-stream", _cleans_up, "hit", server=AsgiServer(cancels_at=2)),
    AsgiCase("server cancels at the last", _cleans_up, "hit", server=AsgiServer(cancels_at=4)),
    AsgiCase("app ignores cancelling", _survives_cancelling, "hit", server=AsgiServer(cancels_at=1)),
    AsgiCase("disconnect seen, returns", _until_disconnect(), "hit", server=_LEAVING),
    AsgiCase("disconnect seen, raises", _until_disconnect(lambda: ValueError("gone")), "hit", server=_LEAVING),
    AsgiCase("send raises at start", fails(lambda: ValueError("x"), *_BEGUN), "hit", server=AsgiServer(fails_at=0)),
    AsgiCase("send raises mid-stream", fails(lambda: ValueError("x"), *_BEGUN), "hit", server=AsgiServer(fails_at=1)),
    AsgiCase("send raises at the last", only(*_COMPLETE), "hit", server=AsgiServer(fails_at=1)),
    AsgiCase(
        "send raises, app translates",
        fails(lambda: ValueError("x"), *_BEGUN, then=lambda: LookupError("translated")),
        "hit",
        server=AsgiServer(fails_at=1),
    ),
    AsgiCase(
        "send refuses the message",
        only(*_COMPLETE),
        "failed",
        server=AsgiServer(fails_at=1, error=lambda: RuntimeError("more than Content-Length")),
    ),
    AsgiCase(
        "send refuses, app fails later",
        _recovers,
        "failed",
        server=AsgiServer(fails_at=1, error=lambda: RuntimeError("not now")),
    ),
    AsgiCase("receive raises", _receives_past_the_end, "failed", server=AsgiServer(receive_fails=True)),
    AsgiCase("reads a body in parts", _echo, "hit", server=AsgiServer(incoming=(_PART, _PART, _EMPTY))),
    AsgiCase("POST of a body in parts", _echo, "method", {"method": "POST"}, AsgiServer(incoming=(_PART, _EMPTY))),
    AsgiCase("a plain function", _no_coroutine, "hit"),
    AsgiCase("weird messages", _weird, "hit"),
    AsgiCase("weird receive", _until_disconnect(), "failed", server=AsgiServer(incoming=({"kind": 7},))),
    AsgiCase(
        "prefetch", only(*_COMPLETE), "prefetch", {"headers": [(b"user-agent", b"Mozilla"), (b"purpose", b"prefetch")]}
    ),
    AsgiCase("no headers", only(*_COMPLETE), "bot", {"headers": []}),
    AsgiCase("headers read once", only(*_COMPLETE), "bot", {"headers": ((b"user-agent", b"Googlebot/2.1"),)}),
    AsgiCase("broken headers", only(*_COMPLETE), "internal", {"headers": None}),
    AsgiCase("broken headers, raises", fails(lambda: ValueError("x"), *_BEGUN), "internal", {"headers": [b"abc"]}),
    AsgiCase("no client", only(*_COMPLETE), "hit", {"client": None}),
    AsgiCase("a path that is no UTF-8", only(*_COMPLETE), "hit", {"path": "/\ufffd", "raw_path": b"/%ff"}),
    AsgiCase("a static path", only(*_COMPLETE), "excluded", {"path": "/static/a.css"}),
]


# Websockets, lifespan and what else there may be.


def plays(*steps: str | Message | Callable[[], BaseException]) -> Callable[[Trace], App]:
    """An app that receives at "receive", sends a message, raises an error; and writes down what it receives."""

    def make(trace: Trace) -> App:
        async def app(scope: Scope, receive: Receive, send: Send) -> str:
            trace.add("app: scope", sorted(scope))
            for step in steps:
                if isinstance(step, str):
                    trace.add("app: received", await receive())
                elif isinstance(step, dict):
                    trace.add("app: send returned", await send(step))
                else:
                    raise trace.raises(step())
            return "the end"

        return app

    return make


def _other(name: str, kind: str, incoming: list[Message], *steps: Any, **server: Any) -> AsgiCase:
    return AsgiCase(
        f"{kind}: {name}", plays(*steps), "", {"kind": kind}, AsgiServer(incoming=tuple(incoming), **server)
    )


_CONNECT: Message = {"type": "websocket.connect"}
_ACCEPT: Message = {"type": "websocket.accept", "subprotocol": None, "headers": []}
_LEAVE: Message = {"type": "websocket.disconnect", "code": 1001}
_TEXT: Message = {"type": "websocket.receive", "text": "hello"}
_REPLY: Message = {"type": "websocket.send", "text": "hello back"}
_DENY: list[Message] = [
    {"type": "websocket.http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]},
    {"type": "websocket.http.response.body", "body": b"no", "more_body": True},
    {"type": "websocket.http.response.body", "body": b"", "more_body": False},
]
_UP: Message = {"type": "lifespan.startup"}
_DOWN: Message = {"type": "lifespan.shutdown"}


def _done(what: str, **extra: Any) -> Message:
    return {"type": f"lifespan.{what}", **extra}


_OTHERS = [
    _other("talks", "websocket", [_CONNECT, _TEXT, _LEAVE], "receive", _ACCEPT, "receive", _REPLY, "receive"),
    _other("closes", "websocket", [_CONNECT], "receive", _ACCEPT, {"type": "websocket.close", "code": 1000}),
    _other("refuses", "websocket", [_CONNECT], "receive", {"type": "websocket.close", "code": 1008}),
    _other("denies with a response", "websocket", [_CONNECT], "receive", *_DENY),
    _other("raises", "websocket", [_CONNECT], "receive", lambda: ValueError("at once")),
    _other("raises while talking", "websocket", [_CONNECT], "receive", _ACCEPT, lambda: ValueError("then")),
    _other("send raises", "websocket", [_CONNECT], "receive", _ACCEPT, _REPLY, fails_at=1),
    _other("cancelled", "websocket", [_CONNECT], "receive", _ACCEPT, _REPLY, cancels_at=1),
    _other(
        "up and down",
        "lifespan",
        [_UP, _DOWN],
        "receive",
        _done("startup.complete"),
        "receive",
        _done("shutdown.complete"),
    ),
    _other("startup fails", "lifespan", [_UP], "receive", _done("startup.failed", message="no database")),
    _other(
        "startup fails and raises",
        "lifespan",
        [_UP],
        "receive",
        _done("startup.failed", message="no"),
        lambda: ValueError("no database"),
    ),
    _other(
        "shutdown fails",
        "lifespan",
        [_UP, _DOWN],
        "receive",
        _done("startup.complete"),
        "receive",
        _done("shutdown.failed", message="stuck"),
        lambda: ValueError("stuck"),
    ),
    _other("not known to the app", "lifespan", [_UP, _DOWN], lambda: AssertionError("only http")),
    _other("weird messages", "lifespan", [_UP], "receive", {}, {"type": None}, {"type": 7}),
    _other("send raises", "lifespan", [_UP, _DOWN], "receive", _done("shutdown.complete"), fails_at=0),
    _other("of another kind", "telepathy", [_UP], "receive", start(200, HTML), piece(b"x", more=False)),
]


# Starlette, whose responses are what most apps send.


def _starlette(endpoint: Callable[[Trace], Any]) -> Callable[[Trace], App]:
    def make(trace: Trace) -> App:
        return Starlette(routes=[Route("/page", endpoint(trace)), WebSocketRoute("/socket", _socket)])

    return make


async def _socket(websocket: WebSocket) -> None:
    await websocket.send_denial_response(PlainTextResponse("no", 403))


def _answers(make: Callable[[Trace], Response]) -> Callable[[Trace], App]:
    def endpoint(trace: Trace) -> Any:
        async def view(request: Request) -> Response:
            return make(trace)

        return view

    return _starlette(endpoint)


def _background(trace: Trace, fail: bool = False) -> Response:
    def task(number: int) -> None:
        trace.add("app: task", number)
        if fail:
            raise trace.raises(ValueError("in a background task"))

    tasks = BackgroundTasks()
    tasks.add_task(task, 1)
    tasks.add_task(task, 2)
    return JSONResponse({"tasks": 2}, background=tasks)


async def _stream(trace: Trace, fail: bool = False) -> AsyncIterator[bytes]:
    try:
        yield b"one"
        yield b"two"
        if fail:
            raise trace.raises(ValueError("mid-stream"))
    finally:
        trace.add("app: generator ends")


def _raises(trace: Trace) -> Any:
    async def view(request: Request) -> Response:
        raise trace.raises(ValueError("in the view"))

    return view


def _in_a_thread(trace: Trace) -> Any:
    def view(request: Request) -> Response:
        return PlainTextResponse("from a thread")

    return view


def _file(trace: Trace) -> Response:
    # One that nobody writes meanwhile: its time and size are in Last-Modified and ETag.
    return FileResponse(__file__)


def _request(*headers: tuple[bytes, bytes], **extra: Any) -> dict[str, Any]:
    agent = (b"user-agent", b"Mozilla/5.0 Firefox/132.0")
    return {"headers": [agent, *headers], **extra}


_WITHOUT_EXTENSIONS: dict[str, Any] = {"extensions": {}}
_STARLETTE = [
    AsgiCase("starlette: json", _answers(lambda trace: JSONResponse({"a": 1})), "hit"),
    AsgiCase("starlette: HEAD", _answers(lambda trace: JSONResponse({"a": 1})), "method", {"method": "HEAD"}),
    AsgiCase("starlette: 405", _answers(lambda trace: JSONResponse({"a": 1})), "method", {"method": "PUT"}),
    AsgiCase("starlette: 404", _answers(lambda trace: JSONResponse({})), "status", {"path": "/none"}),
    AsgiCase("starlette: background", _answers(_background), "hit"),
    AsgiCase("starlette: background fails", _answers(lambda trace: _background(trace, fail=True)), "hit"),
    AsgiCase("starlette: stream", _answers(lambda trace: StreamingResponse(_stream(trace))), "hit"),
    AsgiCase("starlette: stream fails", _answers(lambda t: StreamingResponse(_stream(t, fail=True))), "failed"),
    AsgiCase(
        "starlette: stream, client leaves",
        _answers(lambda trace: StreamingResponse(_stream(trace))),
        "hit",
        server=AsgiServer(fails_at=2),
    ),
    AsgiCase("starlette: file by pathsend", _answers(_file), "hit"),
    AsgiCase("starlette: file", _answers(_file), "hit", _WITHOUT_EXTENSIONS),
    AsgiCase("starlette: range", _answers(_file), "hit", _request((b"range", b"bytes=0-4"), extensions={})),
    AsgiCase("starlette: later range", _answers(_file), "range", _request((b"range", b"bytes=5-8"), extensions={})),
    AsgiCase("starlette: view raises", _starlette(_raises), "status"),
    AsgiCase("starlette: in a thread", _starlette(_in_a_thread), "hit"),
    AsgiCase(
        "starlette: denial",
        _answers(lambda trace: JSONResponse({})),
        "",
        {"kind": "websocket", "path": "/socket"},
        AsgiServer(incoming=(_CONNECT,)),
    ),
    AsgiCase(
        "starlette: lifespan",
        _answers(lambda trace: JSONResponse({})),
        "",
        {"kind": "lifespan"},
        AsgiServer(incoming=(_UP, _DOWN)),
    ),
]

CASES: list[AsgiCase] = [*_table(), *_SPECIAL, *_OTHERS, *_STARLETTE]
