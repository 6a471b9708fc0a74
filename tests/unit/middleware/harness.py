"""Servers that write down all they can see of an app, for the proof that a middleware changes nothing.

An app is run bare and wrapped, under the same server; the two traces must be equal. What the app does and what the
server does go into one trace, so that order counts too. The count is taken from the real buffer and its judge, with
a sink that only adds up.
"""

from __future__ import annotations

import asyncio
import copy
import io
import sys
import types
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathhits.capture.asking import Asking
from pathhits.capture.buffer import Buffer
from pathhits.capture.guard import Guard
from pathhits.capture.items import Items
from pathhits.capture.recorder import EntryReader, Recorder
from pathhits.hits import DROPS, HITS, REQUESTS, Batch
from pathhits.middleware.routes import name_rule
from pathhits.settings import Settings
from pathhits.storage.redis.pending import Added

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
SOURCES = Path(__file__).parents[3] / "pathhits" / "middleware"
App = Callable[..., Any]
Wrap = Callable[[App, Recorder], App]


class Trace:
    """What happened, in order, as plain values; and the objects whose identity matters."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        #: The body the app returned, and the errors it or the server raised, to be compared by identity.
        self.body: Any = None
        self.errors: list[BaseException] = []

    def add(self, *event: Any) -> None:
        self.events.append(event)

    def raises(self, error: BaseException) -> BaseException:
        """Note an error that is about to be raised, and give it back."""
        self.errors.append(error)
        return error

    def caught(self, where: str, error: BaseException) -> None:
        """Note an error that arrived; whether it is the very object that was raised is part of it."""
        known = [number for number, raised in enumerate(self.errors) if raised is error]
        self.add(
            where, type(error).__qualname__, repr(error.args), "same object" if known else "of the machine's", known
        )


# Counting.


class Sums:
    """A sink that adds up what the buffer sends."""

    def __init__(self) -> None:
        self.deltas: Counter[tuple[str, str]] = Counter()

    def run_id(self) -> str:
        return "here"

    def add(self, batch: Batch, first_run_id: str) -> Added:
        for delta, amount in batch.deltas.items():
            self.deltas[delta.counter, delta.subject] += amount
        return Added("added", "here", ())

    def get(self, period: str) -> bytes | None:
        """As the store of salts."""
        return b"salt of a test 1"


class Count:
    """The request side as an app has it, down to the batches; ``verdict`` says what became of the requests."""

    def __init__(self, **overrides: Any) -> None:
        self.settings = Settings(flush_interval=3600.0, **overrides)
        self.guard = Guard()
        self.sums = Sums()
        self.items = Items()
        reader = EntryReader(self.settings, self.guard)
        self.buffer = Buffer(self.settings, self.sums, self.sums, self.guard, self.items, reader=reader)
        self.recorder = Recorder(self.settings, self.buffer.append, self.guard, reader, Asking(self.items, self.guard))

    def total(self, counter: str) -> int:
        """What a counter adds up to, over its subjects."""
        assert self.buffer.flush()
        return sum(amount for (name, _), amount in self.sums.deltas.items() if name == counter)

    def verdict(self) -> str:
        """``hit`` or the reason of the drop of the one request that was made; the failure in words otherwise."""
        requests, hits, drops = self.total(REQUESTS), self.total(HITS), self.total(DROPS)
        if (requests, hits + drops) != (1, 1):
            return f"{requests} requests, {hits} hits, {drops} drops"
        return "hit" if hits else next(subject for name, subject in self.sums.deltas if name == DROPS)

    def close(self) -> None:
        self.buffer.close()


def wsgi_class(module: types.ModuleType) -> Wrap:
    """Wraps with the WSGI middleware of a module, the real one or a mutant."""
    return lambda app, recorder: module.count_wsgi(app, recorder, "X-Forwarded-For")


def flask_class(module: types.ModuleType) -> Wrap:
    """Wraps with the middleware that a module has for Flask."""
    return lambda app, recorder: module.count_flask(
        app, recorder, "X-Forwarded-For", name_rule, lambda environ: environ
    )


def asgi_class(module: types.ModuleType) -> Wrap:
    """Wraps with the ASGI middleware of a module; its last flush at shutdown does nothing."""

    async def at_shutdown() -> None:
        pass

    return lambda app, recorder: module.count_asgi(app, recorder, "X-Forwarded-For", at_shutdown)


def mutant(name: str, old: str, new: str) -> types.ModuleType:
    """The middleware ``name`` (wsgi, flask, asgi) with ``old`` replaced by ``new``; it must be there exactly once."""
    source = (SOURCES / f"{name}.py").read_text()
    found = source.count(old)
    assert found == 1, f"{name}.py has changed: {old!r} is there {found} times; write this mutation anew"
    module = types.ModuleType(f"mutant_{name}")
    exec(compile(source.replace(old, new), f"<mutant of {name}.py>", "exec"), module.__dict__)
    return module


# WSGI.


class FileWrapper:
    """A server's file wrapper, as a class (wsgiref, gunicorn, waitress, bjoern)."""

    def __init__(self, file: io.BufferedIOBase, block: int = 4) -> None:
        self.filelike = file
        self.block = block
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(self.block), b"")


def file_wrapper_function(file: io.BufferedIOBase, block: int = 4) -> Any:
    """A server's file wrapper, as uWSGI has it: a function that gives the file back."""
    return file


class _Stream:
    """What mod_wsgi's function makes: no ``read``, but the file as ``filelike``."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self.filelike = file

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(4), b"")

    def close(self) -> None:
        self.filelike.close()


def file_wrapper_of_mod_wsgi(file: io.BufferedIOBase, block: int = 4) -> Any:
    """A server's file wrapper, as mod_wsgi has it."""
    return _Stream(file)


@dataclass(frozen=True)
class WsgiServer:
    """How a server treats an app; each field is something that a server in use does.

    ``leaves_after`` is the piece before which the client has gone, ``writes_until`` the number of writes it takes.
    """

    name: str = "plain"
    file_wrapper: Any = None
    asks_length: bool = False
    iterates_twice: bool = False
    takes_next: bool = False
    leaves_after: int | None = None
    writes_until: int | None = None
    closes: bool = True
    reads_late: bool = False
    gone_error: type[Exception] = BrokenPipeError

    def run(self, app: App, trace: Trace, environ: dict[str, Any]) -> None:
        """One request; nothing is raised, all is in the trace."""
        environ["wsgi.file_wrapper"] = self.file_wrapper
        if self.file_wrapper is None:
            del environ["wsgi.file_wrapper"]
        _WsgiRun(self, trace).run(app, environ)


class _WsgiRun:
    """One request on a `WsgiServer`."""

    def __init__(self, server: WsgiServer, trace: Trace) -> None:
        self.server = server
        self.trace = trace
        self.started = self.sent = False
        self.writes = 0
        self.headers: Any = None

    def start_response(self, *args: Any, **named: Any) -> Callable[[bytes], object]:
        exc_info = args[2] if len(args) > 2 else named.get("exc_info")
        self.trace.add("start_response", [_told(one) for one in args], {key: _told(one) for key, one in named.items()})
        if exc_info and self.sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.started and not exc_info:
            raise self.trace.raises(AssertionError("headers already set"))
        if args and not isinstance(args[0], str):
            raise self.trace.raises(TypeError("status is no string"))
        self.headers = args[1] if len(args) > 1 else named["headers"]
        self.started = True
        if not self.server.reads_late:
            self._read_headers()
        return self.write

    def _read_headers(self) -> None:
        headers, self.headers = self.headers, None
        if headers is not None:
            self.trace.add("headers", type(headers).__name__, [tuple(header) for header in headers])

    def write(self, data: bytes) -> None:
        if not self.started:
            raise self.trace.raises(AssertionError("write before start_response"))
        if self.server.writes_until is not None and self.writes >= self.server.writes_until:
            raise self.trace.raises(self.server.gone_error("the client has gone"))
        self._read_headers()
        self.writes += 1
        self.sent = self.sent or bool(data)
        self.trace.add("write", data)

    def run(self, app: App, environ: dict[str, Any]) -> None:
        body: Any = None
        try:
            body = app(environ, self.start_response)
            self._look(body, environ)
            self._iterate(body)
        except BaseException as error:
            self.trace.caught("raised", error)
        finally:
            self._close(body)
        self.trace.add("state", self.started, self.sent, self.writes)

    def _look(self, body: Any, environ: Mapping[str, Any]) -> None:
        """What servers look at before they iterate."""
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type):
            file = isinstance(body, wrapper)
        else:
            file = wrapper is not None and (hasattr(body, "filelike") or hasattr(body, "read"))
        exact = type(body) in (list, tuple, bytes, str) or file
        self.trace.add("body", type(body).__name__ if exact else "", exact and body is self.trace.body)
        self.trace.add("has", hasattr(body, "__len__"), hasattr(body, "__iter__") or hasattr(body, "__getitem__"))
        if self.server.asks_length:
            self.trace.add("length", len(body) if hasattr(body, "__len__") else None)

    def _iterate(self, body: Any) -> None:
        pieces = body if self.server.takes_next else iter(body)
        count = 0
        while self.server.leaves_after is None or count < self.server.leaves_after:
            try:
                piece = next(pieces)
            except StopIteration:
                self.trace.add("end")
                break
            self.trace.add("piece", type(piece).__name__, piece)
            if count == 0 and self.server.iterates_twice and hasattr(body, "__len__"):
                self.trace.add("added up", sum(len(each) for each in body))
            self.write(piece)
            count += 1
        del pieces

    def _close(self, body: Any) -> None:
        if not self.server.closes:
            return
        try:
            close = getattr(body, "close", None)
            if close is not None:
                self.trace.add("close returned", close())
            else:
                self.trace.add("close returned", None)
        except BaseException as error:
            self.trace.caught("close raised", error)


def _told(value: Any) -> Any:
    """An argument as plain values: exc_info by its type and error, what can be read once by its type."""
    if isinstance(value, tuple) and len(value) == 3:
        return ("exc_info", value[0], value[1].args, value[2] is not None)
    return type(value).__name__ if isinstance(value, Iterator) else copy.deepcopy(value)


def environ(method: str = "GET", extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The environ of a browser's request, new in every part."""
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/page",
        "QUERY_STRING": "",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "shop.example",
        "HTTP_USER_AGENT": AGENT,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(b"what the visitor sent"),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **(extra or {}),
    }


@dataclass(frozen=True)
class WsgiCase:
    """One response: how the app makes it, how the server treats it, and what it counts as."""

    name: str
    make: Callable[[Trace], App]
    verdict: str
    method: str = "GET"
    extra: Mapping[str, Any] = field(default_factory=dict)
    server: WsgiServer = WsgiServer()

    def trace(self, wrap: Wrap | None, count: Count | None = None) -> Trace:
        """All that is seen of it, bare when there is nothing to wrap it in."""
        trace = Trace()
        app = self.make(trace)
        if wrap is not None:
            assert count is not None
            app = wrap(app, count.recorder)
        self.server.run(app, trace, environ(self.method, self.extra))
        return trace


# ASGI.

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[Any]]


@dataclass(frozen=True)
class AsgiServer:
    """How a server treats an ASGI app.

    ``incoming`` are the messages it gives out, then it waits for ever; ``fails_at`` is the number of the send that
    raises ``error``; ``cancels_at`` the one at which it cancels the app's task, as servers do when a client leaves.
    """

    incoming: tuple[Message, ...] = ({"type": "http.request", "body": b"", "more_body": False},)
    fails_at: int | None = None
    error: Callable[[], BaseException] = lambda: OSError("the client has gone")
    cancels_at: int | None = None
    receive_fails: bool = False

    async def run(self, app: App, trace: Trace, scope: dict[str, Any]) -> None:
        """One call of the app; nothing is raised, all is in the trace."""
        run = _AsgiRun(self, trace)
        known = dict(scope)
        called = app(scope, run.receive, run.send)
        if self.cancels_at is not None:
            called = run.task = asyncio.ensure_future(called)
        try:
            trace.add("returned", await called)
        except BaseException as error:
            trace.caught("raised", error)
        changed = {key for key, value in known.items() if scope.get(key) is not value}
        trace.add("scope", sorted(changed), sorted(set(known) - set(scope)))


class _AsgiRun:
    """One call of an app on an `AsgiServer`."""

    def __init__(self, server: AsgiServer, trace: Trace) -> None:
        self.server = server
        self.trace = trace
        self.incoming = list(server.incoming)
        self.sends = 0
        self.task: asyncio.Future[Any] | None = None

    async def receive(self) -> Message:
        if self.incoming:
            message = dict(self.incoming.pop(0))
            self.trace.add("receive", message)
            return message
        if self.server.receive_fails:
            raise self.trace.raises(RuntimeError("receive after the end"))
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def send(self, message: Message) -> Any:
        number, self.sends = self.sends, self.sends + 1
        self.trace.add("send", _message(message))
        if number == self.server.fails_at:
            raise self.trace.raises(self.server.error())
        if number == self.server.cancels_at:
            assert self.task is not None
            self.task.cancel()
        # A server that waits for its socket; here a cancelled app learns of it.
        await asyncio.sleep(0)
        return f"sent {number}"


def _message(message: Any) -> Any:
    """A message as plain values, with the type of what is in it; one-shot headers are read as a server does."""
    if not isinstance(message, Mapping):
        return repr(message)
    shown: dict[str, Any] = {}
    for key, value in message.items():
        if key == "headers" and not isinstance(value, bytes):
            shown[key] = (type(value).__name__, [tuple(header) for header in value])
        else:
            shown[key] = (type(value).__name__, copy.copy(value))
    return shown


def scope(kind: str = "http", method: str = "GET", **extra: Any) -> dict[str, Any]:
    """The scope of a browser's request, new in every part."""
    made: dict[str, Any] = {"type": kind, "asgi": {"version": "3.0", "spec_version": "2.4"}, "state": {}}
    if kind == "lifespan":
        return {**made, **extra}
    made |= {
        "http_version": "1.1",
        "scheme": "http",
        "path": "/page",
        "raw_path": b"/page",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop.example"), (b"user-agent", AGENT.encode()), (b"accept", b"*/*")],
        "client": ("192.0.2.7", 4711),
        "server": ("127.0.0.1", 80),
        "extensions": {
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
            "http.response.trailers": {},
            "http.response.push": {},
            "http.response.debug": {},
            "http.response.early_hint": {},
            "websocket.http.response": {},
        },
    }
    if kind == "http":
        made["method"] = method
    return {**made, **extra}


@dataclass(frozen=True)
class AsgiCase:
    """One call of an ASGI app; ``verdict`` is "" where nothing may be counted (websocket, lifespan)."""

    name: str
    make: Callable[[Trace], App]
    verdict: str
    scope: Mapping[str, Any] = field(default_factory=dict)
    server: AsgiServer = AsgiServer()

    def trace(self, wrap: Wrap | None, count: Count | None = None) -> Trace:
        """All that is seen of it, bare when there is nothing to wrap it in."""
        trace = Trace()
        app = self.make(trace)
        if wrap is not None:
            assert count is not None
            app = wrap(app, count.recorder)
        asyncio.run(self.server.run(app, trace, scope(**self.scope)))
        return trace


Case = WsgiCase | AsgiCase


def difference(case: Case, wrap: Wrap) -> str:
    """How the wrapped app differs from the bare one, or from what it should count as; "" when it does not."""
    bare = case.trace(None)
    count = Count()
    try:
        wrapped = case.trace(wrap, count)
        if bare.events != wrapped.events:
            return f"{case.name}: bare {_first(bare.events, wrapped.events)}"
        return _miscounted(case, count)
    finally:
        count.close()


def _first(bare: list[Any], wrapped: list[Any]) -> str:
    """The first event that is not the same."""
    for one, other in zip(bare, wrapped, strict=False):
        if one != other:
            return f"{one!r} wrapped {other!r}"
    return f"{bare[len(wrapped) :]!r} wrapped {wrapped[len(bare) :]!r}"


def _miscounted(case: Case, count: Count) -> str:
    if not case.verdict:
        requests = count.total(REQUESTS)
        return f"{case.name}: counted {requests} times" if requests else ""
    verdict = count.verdict()
    return "" if verdict == case.verdict else f"{case.name}: counted as {verdict}, not as {case.verdict}"


def caught_by(cases: Iterable[Case], wrap: Wrap) -> str:
    """The first difference that any case shows, "" when none does."""
    return next(filter(None, (difference(case, wrap) for case in cases)), "")
