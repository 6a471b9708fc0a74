"""WSGI responses of every kind, as a table: ways to make a body, times status, headers and size; and oddities."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from pathhits.capture.exchange import Exchange
from tests.unit.middleware.harness import (
    App,
    FileWrapper,
    Trace,
    WsgiCase,
    WsgiServer,
    file_wrapper_function,
    file_wrapper_of_mod_wsgi,
)

Headers = list[tuple[str, str]]
#: Makes an app that answers with a status, headers and pieces in its own way.
Kind = Callable[[Trace, str, Headers, list[bytes]], App]

HTML = [("Content-Type", "text/html; charset=utf-8")]
OK = "200 OK"


class Pieces:
    """An iterator with a close, which writes down what is done to it; it fails where it is told to."""

    def __init__(self, trace: Trace, pieces: Iterable[bytes], error: BaseException | None = None) -> None:
        self.trace = trace
        self.pieces = iter(pieces)
        self.error = error

    def __iter__(self) -> Iterator[bytes]:
        self.trace.add("app: iter")
        return self

    def __next__(self) -> bytes:
        self.trace.add("app: next")
        for piece in self.pieces:
            return piece
        if self.error is not None:
            raise self.trace.raises(self.error)
        raise StopIteration

    def close(self) -> str:
        self.trace.add("app: close")
        return "what close returned"


class Again:
    """An iterable that begins anew each time, without a length."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces


class Sized(Again):
    """The same with a length, and a close."""

    def __init__(self, trace: Trace, pieces: list[bytes]) -> None:
        super().__init__(pieces)
        self.trace = trace

    def __len__(self) -> int:
        return len(self.pieces)

    def close(self) -> None:
        self.trace.add("app: close")


class ListOfApp(list[bytes]):
    """A list that is not quite one."""


class ByIndex:
    """Iterated by the protocol from before iterators."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __getitem__(self, index: int) -> bytes:
        return self.pieces[index]


def returns(make: Callable[[Trace, list[bytes]], Any]) -> Kind:
    """The usual app: start_response, then a body."""

    def kind(trace: Trace, status: str, headers: Headers, pieces: list[bytes]) -> App:
        def app(environ: dict[str, Any], start_response: Any) -> Any:
            start_response(status, headers)
            trace.body = make(trace, pieces)
            return trace.body

        return app

    return kind


def generator(trace: Trace, status: str, headers: Headers, pieces: list[bytes]) -> App:
    """The app is a generator function: start_response is called in the first next()."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        trace.add("app: begins")
        start_response(status, headers)
        try:
            yield from pieces
            trace.add("app: after the last")
        finally:
            trace.add("app: finally")

    return app


def writes(trace: Trace, status: str, headers: Headers, pieces: list[bytes]) -> App:
    """All by the write() callable."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response(status, headers)
        for piece in pieces:
            trace.add("app: write returned", write(piece))
        return []

    return app


def writes_then_returns(trace: Trace, status: str, headers: Headers, pieces: list[bytes]) -> App:
    """The first piece by write(), the others by a generator."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response(status, headers)
        for piece in pieces[:1]:
            write(piece)
        return (piece for piece in pieces[1:])

    return app


def by_keyword(trace: Trace, status: str, headers: Headers, pieces: list[bytes]) -> App:
    """start_response with an explicit None, as middlewares pass it on."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, headers, exc_info=None)
        return pieces

    return app


def replaced(trace: Trace, status: str, headers: Headers, pieces: list[bytes]) -> App:
    """A first attempt fails, and its response is replaced before anything of it was sent."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("500 Oh", [("Content-Type", "image/png"), ("Content-Range", "bytes 7-9/10")])
        try:
            raise trace.raises(ValueError("the first attempt"))
        except ValueError:
            start_response(status, headers, sys.exc_info())
        trace.body = pieces
        return pieces

    return app


def werkzeug_whole(trace: Trace, status: str, headers: Headers, pieces: list[bytes]) -> App:
    """What most Flask views come to: all bytes in memory."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        response = Response(b"".join(pieces), status, headers)
        response.call_on_close(lambda: trace.add("app: closed"))
        return response(environ, start_response)

    return app


def werkzeug_stream(trace: Trace, status: str, headers: Headers, pieces: list[bytes]) -> App:
    """A streaming view of Flask."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return Response(Pieces(trace, pieces), status, headers)(environ, start_response)

    return app


KINDS: dict[str, Kind] = {
    "list": returns(lambda trace, pieces: pieces),
    "tuple": returns(lambda trace, pieces: tuple(pieces)),
    "generator after start": returns(lambda trace, pieces: (piece for piece in pieces)),
    "generator": generator,
    "iterator with close": returns(Pieces),
    "iterable": returns(lambda trace, pieces: Again(pieces)),
    "iterable with length": returns(Sized),
    "subclass of list": returns(lambda trace, pieces: ListOfApp(pieces)),
    "by index": returns(lambda trace, pieces: ByIndex(pieces)),
    "dict": returns(lambda trace, pieces: dict.fromkeys(pieces)),
    "write": writes,
    "write then generator": writes_then_returns,
    "exc_info None": by_keyword,
    "replaced before sent": replaced,
    "werkzeug": werkzeug_whole,
    "werkzeug stream": werkzeug_stream,
}

#: name: status, headers, pieces, verdict of a GET
SHAPES: dict[str, tuple[str, Headers, list[bytes], str]] = {
    "empty": (OK, HTML, [], "hit"),
    "one": (OK, [*HTML, ("Content-Length", "5")], [b"hello"], "hit"),
    "empty pieces": (OK, HTML, [b"", b"one", b"", b"two", b""], "hit"),
    "large": (OK, HTML, [bytes([number]) * 70_000 for number in range(6)], "hit"),
    "cookies": ("200 Fine", [("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-Nothing", "")], [b"x"], "hit"),
    "created": ("201 Created", [], [b"made"], "hit"),
    "204": ("204 No Content", [], [], "status"),
    "206 first": ("206 Partial Content", [("content-range", "bytes 0-4/9"), *HTML], [b"hello"], "hit"),
    "206 later": ("206 Partial Content", [*HTML, ("Content-Range", "bytes 5-8/9")], [b"later"], "range"),
    "302": ("302 Found", [("Location", "/elsewhere")], [b"see there"], "status"),
    "304": ("304 Not Modified", [("ETag", '"1"')], [], "hit"),
    "404": ("404 Not Found", HTML, [b"no", b"thing"], "status"),
    "image": (OK, [("cOnTeNt-TyPe", "image/png")], [b"\x89PNG", b"\x00\xff"], "excluded"),
}

#: What servers in use do; each meets every kind of body.
SERVERS = [
    WsgiServer("asks the length", asks_length=True),
    WsgiServer("iterates twice", iterates_twice=True),
    WsgiServer("reads headers late", reads_late=True),
    WsgiServer("leaves before the first piece", leaves_after=0),
    WsgiServer("leaves after one piece", leaves_after=1),
    WsgiServer("write fails", writes_until=1),
    WsgiServer("write fails, as in waitress", writes_until=1, gone_error=type("ClientDisconnected", (Exception,), {})),
    WsgiServer("never closes", closes=False),
    WsgiServer("has a file wrapper", file_wrapper=FileWrapper),
    WsgiServer("has a function as file wrapper", file_wrapper=file_wrapper_function),
]


def _table() -> Iterator[WsgiCase]:
    for kind, make in KINDS.items():
        for shape, (status, headers, pieces, verdict) in SHAPES.items():
            yield WsgiCase(f"{kind}, {shape}", _made(make, status, headers, pieces), verdict)
        three = [b"one", b"two", b"three"]
        for server in SERVERS:
            # A generator that the client left before its first piece has not begun a response.
            unbegun = kind == "generator" and server.leaves_after == 0
            verdict = "failed" if unbegun else "hit"
            yield WsgiCase(f"{kind}, server {server.name}", _made(make, OK, HTML, three), verdict, server=server)
        for method in ("HEAD", "POST"):
            pieces = [] if method == "HEAD" else three
            yield WsgiCase(f"{kind}, {method}", _made(make, OK, HTML, pieces), "method", method)


def _made(make: Kind, status: str, headers: Headers, pieces: list[bytes]) -> Callable[[Trace], App]:
    return lambda trace: make(trace, status, list(headers), list(pieces))


class Halt(BaseException):
    """An error that is no Exception, as gevent's GreenletExit and Timeout are."""


def raising(error: Callable[[], BaseException], *, started: bool = False) -> Callable[[Trace], App]:
    """An app that raises instead of returning a body."""

    def make(trace: Trace) -> App:
        def app(environ: dict[str, Any], start_response: Any) -> Any:
            if started:
                start_response(OK, HTML)
            raise trace.raises(error())

        return app

    return make


def body(make: Callable[[Trace], Any], status: str = OK) -> Callable[[Trace], App]:
    """An app that returns this body."""

    def made(trace: Trace) -> App:
        def app(environ: dict[str, Any], start_response: Any) -> Any:
            start_response(status, HTML)
            trace.body = make(trace)
            return trace.body

        return app

    return made


def _fails_in_iter(trace: Trace) -> Any:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            raise trace.raises(ValueError("in iter"))

        def close(self) -> None:
            trace.add("app: close")

    return Body()


def _fails_in_close(trace: Trace, pieces: list[bytes]) -> Any:
    class Body(Pieces):
        def close(self) -> str:
            trace.add("app: close")
            raise trace.raises(ValueError("in close"))

    return Body(trace, pieces)


def _fails_in_len(trace: Trace) -> Any:
    class Body(Again):
        def __len__(self) -> int:
            raise trace.raises(ValueError("in len"))

    return Body([b"one"])


def _rejects_close(trace: Trace) -> Any:
    def stream() -> Iterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        except GeneratorExit:
            trace.add("app: told to end")
            raise trace.raises(ValueError("not now")) from None

    return stream()


def _proxy(trace: Trace) -> Any:
    """Looks at nothing lightly: each attribute but the ones servers need raises."""

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter((b"one", b"two"))

        def __getattr__(self, name: str) -> Any:
            if name in ("close", "read", "filelike", "__len__", "__getitem__"):
                raise AttributeError(name)
            raise ZeroDivisionError(name)

    return Body()


def _moody(trace: Trace) -> Any:
    """A class whose lookups raise."""

    class Mood(type):
        def __getattribute__(cls, name: str) -> Any:
            if name == "__len__":
                raise ZeroDivisionError(name)
            return super().__getattribute__(name)

    class Body(metaclass=Mood):
        def __iter__(self) -> Iterator[bytes]:
            return iter((b"one", b"two"))

    return Body()


def _replaces_late(status: str = "500 Oh") -> Callable[[Trace], App]:
    """exc_info once a piece was sent: the server raises it again."""

    def make(trace: Trace) -> App:
        def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
            start_response(OK, HTML)
            yield b"one"
            try:
                raise trace.raises(ValueError("mid-stream"))
            except ValueError:
                start_response(status, HTML, sys.exc_info())
            yield b"never"

        return app

    return make


def _replaces_late_and_goes_on(trace: Trace) -> App:
    """The same, but the app takes it lightly and completes what it began."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response(OK, HTML)
        yield b"one"
        try:
            raise trace.raises(ValueError("mid-stream"))
        except ValueError:
            try:
                start_response("500 Oh", HTML, sys.exc_info())
            except ValueError as error:
                trace.caught("app: caught", error)
        yield b"two"

    return app


def _starts_twice(trace: Trace) -> App:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(OK, HTML)
        start_response("404 Not Found", HTML)
        return [b"never"]

    return app


def _starts(*args: Any, **named: Any) -> Callable[[Trace], App]:
    """An app that calls start_response just so."""

    def make(trace: Trace) -> App:
        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response(*[one() if callable(one) else one for one in args], **named)
            return [b"one"]

        return app

    return make


def _never_starts(trace: Trace) -> App:
    return lambda environ, start_response: [b"one"]


def _token(trace: Trace) -> App:
    """What apps under gunicorn return when they have answered by themselves."""
    trace.body = object()
    return lambda environ, start_response: trace.body


def _returns(value: Any) -> Callable[[Trace], App]:
    return body(lambda trace: value)


def _file() -> Callable[[Trace], App]:
    """An app that hands its file to the server's wrapper."""

    def make(trace: Trace) -> App:
        def app(environ: dict[str, Any], start_response: Any) -> Any:
            start_response(OK, HTML)
            trace.body = environ["wsgi.file_wrapper"](io.BytesIO(b"the whole file"))
            return trace.body

        return app

    return make


def _werkzeug(make: Callable[[Trace], Any]) -> Callable[[Trace], App]:
    """An app that answers with werkzeug's response over these pieces; with a length, so that it does not look."""
    length = {"Content-Length": "3"}
    return lambda trace: lambda environ, start_response: Response(make(trace), 200, length)(environ, start_response)


def _werkzeug_close_fails(trace: Trace) -> App:
    def fail() -> None:
        raise trace.raises(ValueError("in close"))

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        response = Response("all")
        response.call_on_close(fail)
        return response(environ, start_response)

    return app


def _not_of_that_response(trace: Trace) -> Any:
    """A stream that closes a response in memory when it is closed itself."""
    return ClosingIterator(Pieces(trace, [b"one"], ValueError("mid-stream")), [Response("all").close])


def _reads_input(trace: Trace) -> App:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(OK, HTML)
        return [environ["wsgi.input"].read(), repr(sorted(set(environ) - {"pathhits.exchange"})).encode()]

    return app


def _write_error_swallowed(trace: Trace) -> App:
    """The app sees that its write failed, and then fails in a way of its own: the client had gone before that."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response(OK, HTML)
        try:
            write(b"one")
        except OSError as error:
            trace.caught("app: caught", error)
        raise trace.raises(ValueError("after the write"))

    return app


_SPECIAL = [
    WsgiCase("raises", raising(lambda: ValueError("at once", 7)), "failed"),
    WsgiCase("raises after start", raising(lambda: ValueError("then"), started=True), "failed"),
    WsgiCase("raises SystemExit", raising(lambda: SystemExit(3), started=True), "failed"),
    WsgiCase("raises KeyboardInterrupt", raising(lambda: KeyboardInterrupt()), "failed"),
    WsgiCase("raises a BaseException", raising(lambda: Halt("now"), started=True), "failed"),
    WsgiCase("raises StopIteration", raising(lambda: StopIteration("value")), "failed"),
    WsgiCase("raises GeneratorExit", raising(lambda: GeneratorExit(), started=True), "failed"),
    WsgiCase("POST raises", raising(lambda: ValueError("at once")), "method", "POST"),
    WsgiCase("fails at the first piece", body(lambda trace: Pieces(trace, [], ValueError("first"))), "failed"),
    WsgiCase("fails mid-stream", body(lambda trace: Pieces(trace, [b"one", b"two"], ValueError("third"))), "failed"),
    WsgiCase("fails mid-stream, BaseException", body(lambda trace: Pieces(trace, [b"one"], Halt("now"))), "failed"),
    WsgiCase("fails mid-stream, SystemExit", body(lambda trace: Pieces(trace, [b"one"], SystemExit(1))), "failed"),
    WsgiCase("fails mid-stream, GeneratorExit", body(lambda trace: Pieces(trace, [b"a"], GeneratorExit())), "failed"),
    WsgiCase("404 fails", body(lambda trace: Pieces(trace, [], ValueError("first")), "404 Not Found"), "status"),
    WsgiCase(
        "fails mid-stream with a connection of its own",
        body(lambda trace: Pieces(trace, [b"one"], ConnectionResetError("the app's database"))),
        "failed",
    ),
    WsgiCase("fails in iter", body(_fails_in_iter), "failed"),
    WsgiCase("fails in close after the end", body(lambda trace: _fails_in_close(trace, [b"one"])), "hit"),
    WsgiCase(
        "fails in close mid-stream",
        body(lambda trace: _fails_in_close(trace, [b"one", b"two"])),
        "failed",
        server=WsgiServer(leaves_after=1),
    ),
    WsgiCase("fails when told to end", body(_rejects_close), "failed", server=WsgiServer(leaves_after=1)),
    WsgiCase("fails in len", body(_fails_in_len), "hit", server=WsgiServer(asks_length=True)),
    WsgiCase("fails in an unasked len", body(_fails_in_len), "hit"),
    WsgiCase("a body that raises at attributes", body(_proxy), "hit"),
    WsgiCase("a body whose class raises at attributes", body(_moody), "hit"),
    WsgiCase("next without iter", body(lambda t: Pieces(t, [b"a", b"b"])), "hit", server=WsgiServer(takes_next=True)),
    WsgiCase(
        "next on a generator", body(lambda trace: (b for b in (b"a", b"b"))), "hit", server=WsgiServer(takes_next=True)
    ),
    WsgiCase("replaced after sent", _replaces_late(), "failed"),
    WsgiCase("replaced after sent by a success", _replaces_late("201 Created"), "failed"),
    WsgiCase("replaced after sent, goes on", _replaces_late_and_goes_on, "hit"),
    WsgiCase("starts twice", _starts_twice, "failed"),
    WsgiCase("starts without arguments", _starts(), "failed"),
    WsgiCase("starts with bytes", _starts(b"200 OK", list), "failed"),
    WsgiCase("starts by names", _starts(status=OK, headers=HTML), "hit"),
    WsgiCase("headers as a tuple", _starts(OK, lambda: tuple(HTML)), "hit"),
    WsgiCase("headers as an iterator", _starts(OK, lambda: iter(HTML)), "hit"),
    WsgiCase(
        "headers as an iterator, read late", _starts(OK, lambda: iter(HTML)), "hit", server=WsgiServer(reads_late=True)
    ),
    WsgiCase("headers as lists", _starts(OK, lambda: [["Content-Type", "text/css"]]), "excluded"),
    WsgiCase("another header first", _starts(OK, lambda: [("X-Of-The-App", "image/png"), *HTML]), "hit"),
    WsgiCase("status without reason", _starts("200", list), "hit"),
    WsgiCase("status that is none", _starts("fine", list), "failed"),
    WsgiCase("never starts", _never_starts, "failed"),
    WsgiCase("a token for the server", _token, "failed"),
    WsgiCase("None", _returns(None), "failed"),
    WsgiCase("a number", _returns(7), "failed"),
    WsgiCase("bytes", _returns(b"abc"), "hit"),
    WsgiCase("str", _returns("abc"), "hit"),
    WsgiCase("a set", _returns({b"one"}), "hit"),
    WsgiCase("file, class", _file(), "hit", server=WsgiServer(file_wrapper=FileWrapper)),
    WsgiCase("file, class, client leaves", _file(), "hit", server=WsgiServer(file_wrapper=FileWrapper, leaves_after=1)),
    WsgiCase("file, function", _file(), "hit", server=WsgiServer(file_wrapper=file_wrapper_function)),
    WsgiCase("file, mod_wsgi", _file(), "hit", server=WsgiServer(file_wrapper=file_wrapper_of_mod_wsgi)),
    WsgiCase("file, POST", _file(), "method", "POST", server=WsgiServer(file_wrapper=FileWrapper)),
    WsgiCase("file of the app", body(lambda trace: io.BytesIO(b"one\ntwo\n")), "hit"),
    WsgiCase("werkzeug fails mid-stream", _werkzeug(lambda t: Pieces(t, [b"one"], ValueError("second"))), "failed"),
    WsgiCase("werkzeug cannot encode", _werkzeug(lambda trace: ["\ud800"]), "failed"),
    WsgiCase("werkzeug cannot encode the second", _werkzeug(lambda trace: ["one", "\ud800"]), "failed"),
    WsgiCase("werkzeug fails in close", _werkzeug_close_fails, "hit"),
    WsgiCase("werkzeug closes another response", body(_not_of_that_response), "failed"),
    WsgiCase("reads the input", _reads_input, "hit"),
    WsgiCase("fails after a failed write", _write_error_swallowed, "hit", server=WsgiServer(writes_until=0)),
    WsgiCase("fails after a good write", _write_error_swallowed, "failed"),
    WsgiCase("prefetch", body(lambda trace: [b"x"]), "prefetch", extra={"HTTP_SEC_PURPOSE": "prefetch;prerender"}),
    WsgiCase("a bot", body(lambda trace: [b"x"]), "bot", extra={"HTTP_USER_AGENT": "Googlebot/2.1"}),
    WsgiCase("no agent", body(lambda trace: [b"x"]), "bot", extra={"HTTP_USER_AGENT": ""}),
    WsgiCase("a static path", body(lambda trace: [b"x"]), "excluded", extra={"PATH_INFO": "/static/a.css"}),
    WsgiCase("a path of latin-1", body(lambda trace: [b"x"]), "hit", extra={"PATH_INFO": "/caf\xc3\xa9\xff\x00"}),
    WsgiCase("a path of surrogates", body(lambda trace: [b"x"]), "hit", extra={"PATH_INFO": "/\udcff\u20ac"}),
    WsgiCase("an environ of None", body(lambda trace: [b"x"]), "hit", extra={"SCRIPT_NAME": None, "REMOTE_ADDR": None}),
    WsgiCase("a broken environ", body(lambda trace: [b"x"]), "internal", extra={"PATH_INFO": 7}),
    WsgiCase("a broken mount", body(lambda trace: [b"x"]), "internal", extra={"SCRIPT_NAME": 7}),
    WsgiCase(
        "a broken environ, failing", raising(lambda: ValueError("x")), "internal", extra={"HTTP_COOKIE": object()}
    ),
    WsgiCase("a broken agent", body(lambda trace: [b"x"]), "internal", extra={"HTTP_USER_AGENT": 7}),
]

CASES: list[WsgiCase] = [*_table(), *_SPECIAL]


# Flask, whose responses are werkzeug's: they never write, and give start_response two positional arguments.

#: What Flask leaves in the environ for a rule it has matched.
_MATCHED = SimpleNamespace(
    url_rule=SimpleNamespace(rule="/page", endpoint="page", host="", subdomain=""), view_args={"id": 1}
)
_NOT_OF_WERKZEUG = ("write", "exc_info None", "starts by names", "starts without", "fails after a failed write")


def _in_flask(case: WsgiCase) -> Iterator[WsgiCase]:
    """The case with a rule matched, and as it is where that makes no difference to its label."""
    yield replace(case, name=f"{case.name}, matched", extra={**case.extra, "werkzeug.request": _MATCHED})
    yield case


def _outside() -> Iterator[WsgiCase]:
    """A middleware further out counts already."""
    around = Exchange()
    yield WsgiCase("counted further out", body(lambda trace: [b"x"]), "", extra={"pathhits.exchange": around})


FLASK: list[WsgiCase] = [
    *(one for case in CASES if not case.name.startswith(_NOT_OF_WERKZEUG) for one in _in_flask(case)),
    *_outside(),
]
