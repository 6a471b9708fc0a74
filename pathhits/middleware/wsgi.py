"""WSGI middleware: notes what each exchange came to, and leaves every byte of it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import itemgetter
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from pathhits.capture.exchange import Exchange, current, is_disconnect, later, leave
from pathhits.capture.recorder import Recorder
from pathhits.middleware.routes import decoded, note_wsgi_route

#: Where the exchange is found by adapters inside the app.
ENVIRON_KEY = "pathhits.exchange"
#: Reads the route a framework left in environ into the exchange.
NoteRoute = Callable[[Exchange, WSGIEnvironment], None]

#: What nearly every request has, fetched at once.
_USUAL = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "REMOTE_ADDR", "HTTP_USER_AGENT")
_usual = itemgetter(*_USUAL)
#: Headers that few requests have, looked for at once.
_SELDOM = ("HTTP_SEC_GPC", "HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_MOZ", "HTTP_X_PURPOSE")
#: Bodies that hold all their pieces, and have no code that could fail.
_UNFAILING = frozenset((list, tuple, bytes, str))


class EnvironExchange(Exchange):
    """An exchange that has taken the little it needs from an environ; its path is put together when asked for."""

    info: str
    forwarded = purpose = ""
    anonymous = False

    path = later(lambda self: self.root + decoded(self.info or ""))


class EnvironReader:
    """Makes the exchange of a request out of its environ (or Django's META)."""

    def __init__(self, proxy_header: str, opt_out_cookie: str) -> None:
        self._proxy_key = "HTTP_" + proxy_header.upper().replace("-", "_")
        # Without a cookie's name: what is in no header.
        self._opt_out = f"{opt_out_cookie}=" if opt_out_cookie else "\0"

    def read(self, environ: WSGIEnvironment) -> EnvironExchange:
        """The exchange that begins with ``environ``."""
        exchange = EnvironExchange()
        try:
            exchange.method, root, exchange.info, exchange.peer, exchange.user_agent = _usual(environ)
        except KeyError:
            usual = [environ.get(key, "") for key in _USUAL]
            exchange.method, root, exchange.info, exchange.peer, exchange.user_agent = usual
        exchange.root = decoded(root) if root else ""
        if self._proxy_key in environ:
            exchange.forwarded = environ[self._proxy_key]
        if "HTTP_REFERER" in environ:
            exchange.referrer = environ["HTTP_REFERER"]
        if "HTTP_COOKIE" in environ and self._opt_out in environ["HTTP_COOKIE"]:
            exchange.anonymous = True
        if not environ.keys().isdisjoint(_SELDOM):
            get = environ.get
            exchange.anonymous = exchange.anonymous or get("HTTP_SEC_GPC") == "1"
            exchange.purpose = next(filter(None, map(get, _SELDOM[1:])), "")
        return exchange


class WsgiMiddleware:
    """Wraps a WSGI app; counts through ``recorder``, and marks clients that opted out by ``opt_out_cookie``."""

    def __init__(self, app: WSGIApplication, recorder: Recorder, proxy_header: str, opt_out_cookie: str) -> None:
        self.app = app
        self._record = recorder.record
        self._open_statuses = recorder.open_statuses
        self._broken = recorder.broken
        self._unlabelled = recorder.unlabelled
        self._read = EnvironReader(proxy_header, opt_out_cookie).read
        #: Finds the route in environ when the response begins; an integration may know better.
        self.note_route: NoteRoute = note_wsgi_route

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            exchange = self._read(environ)
            counted = (ENVIRON_KEY in environ or current.get() is not None) and _is_counted(exchange, environ)
            if not counted:
                environ[ENVIRON_KEY] = exchange
        except Exception as error:
            self._broken(error)
            counted = True
        if counted:
            return self.app(environ, self._noting(environ, start_response))

        def started(*args: Any, **named: Any) -> Callable[[bytes], object]:
            write = start_response(*args, **named)
            # Now, while the app still stands: afterwards its request context is gone.
            try:
                status, headers = args
                name, exchange.content_type = headers[0]
                if status != "200 OK" or name != "Content-Type" or type(headers) is not list:
                    _note_unusual(exchange, args, named)
                else:
                    exchange.status = 200
            except Exception:
                _note_unusual(exchange, args, named)
            self._noted_route(exchange, environ)
            return partial(_written, exchange, write)

        token = current.set(exchange)
        try:
            body = self.app(environ, started)
        except BaseException:
            exchange.failed = not exchange.gone
            self._record(exchange)
            raise
        finally:
            leave(token)
        try:
            return self._watched(body, exchange, environ)
        except Exception:
            # A body that does not like to be looked at, or a bug of ours: it goes as it came.
            self._record(exchange)
            return body

    def _noting(self, environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
        """Adds the route that is known in here to the exchange of the middleware further out."""

        def started(*args: Any, **named: Any) -> Callable[[bytes], object]:
            exchange = environ.get(ENVIRON_KEY)
            if exchange is not None:
                self._noted_route(exchange, environ)
            return start_response(*args, **named)

        return cast(StartResponse, started)

    def _noted_route(self, exchange: Exchange, environ: WSGIEnvironment) -> None:
        try:
            if exchange.pattern is None and exchange.name is None and exchange.method == "GET":
                self.note_route(exchange, environ)
        except Exception as error:
            exchange.name = exchange.pattern = None
            self._unlabelled(error)

    def _watched(self, body: Iterable[bytes], exchange: Exchange, environ: WSGIEnvironment) -> Iterable[bytes]:
        """The body itself where nothing of the app can fail any more, else the body with an eye on it."""
        kind = type(body)
        if (
            kind in _UNFAILING
            or exchange.method != "GET"
            or exchange.status not in self._open_statuses
            or (kind.__name__ == "ClosingIterator" and _is_whole(body))
            or ("wsgi.file_wrapper" in environ and _is_file(body, environ["wsgi.file_wrapper"]))
        ):
            self._record(exchange)
            return body
        if hasattr(kind, "__len__"):
            return _SizedBody(body, exchange, self._record)
        if not (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")):
            # Either a token that means something to the server (gunicorn has one), or a bug.
            exchange.failed = True
            self._record(exchange)
            return body
        return _Body(body, exchange, self._record)


def _is_counted(exchange: Exchange, environ: WSGIEnvironment) -> bool:
    """Whether a middleware further out counts this request; its exchange is then the one in ``environ``."""
    outer = environ.get(ENVIRON_KEY)
    if outer is not None and outer.under_way:
        return True
    outer = current.get()
    if outer is not None and outer.under_way and outer.path == exchange.path:
        # An ASGI app made this environ for the same request, and hands it to a WSGI app inside.
        environ[ENVIRON_KEY] = outer
        return True
    return False


def _note_unusual(exchange: Exchange, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Read any response, also one that replaces another. What can be read once is the server's to read.

    ``args`` and ``named`` are what start_response took, and the server has accepted them.
    """
    exchange.content_type = exchange.content_range = ""
    try:
        status, headers, *_ = (*args, *named.values())
        exchange.status = int(status[:3])
        if type(headers) is not list and iter(headers) is headers:
            return
        for name, value in headers:
            size = len(name)
            if size == 12 and name.lower() == "content-type":
                exchange.content_type = value
            elif size == 13 and name.lower() == "content-range":
                exchange.content_range = value
    except Exception:
        # Only an app that breaks the protocol gets here; its server is the one to say so.
        pass


def _written(exchange: Exchange, write: Callable[[bytes], object], data: bytes) -> object:
    """Hand ``data`` to the server's ``write``; its failure is the client's going away, not the app's."""
    try:
        return write(data)
    except BaseException as error:
        exchange.gone = exchange.gone or is_disconnect(error)
        raise


def _is_file(body: object, wrapper: object) -> bool:
    """Whether a server made this body for sendfile: wrapped, it would lose its own fast path."""
    if isinstance(wrapper, type):
        return isinstance(body, wrapper)
    # uWSGI's function returns the file itself, mod_wsgi's an object with the file as ``filelike``.
    return wrapper is not None and (hasattr(body, "read") or hasattr(body, "filelike"))


def _is_whole(body: Any) -> bool:
    """Whether werkzeug made this body of bytes it holds in memory, as it does for what most views return.

    Its `ClosingIterator` closes the generator over the response's pieces, then the response. Both are private; where
    they are not as expected, the body is watched like any other.
    """
    try:
        of_pieces, of_response = body._callbacks
        pieces = of_response.__self__.response
        if type(pieces) is not list or of_pieces.__self__.__name__ != "_iter_encoded":
            return False
        [piece] = pieces
        return type(piece) is bytes
    except (AttributeError, TypeError, ValueError):
        return False


class _Body:
    """An app's body, passed on piece by piece; the exchange is recorded when it ends, fails or is closed."""

    __slots__ = ("_body", "_exchange", "_pieces", "_record")
    _pieces: Iterator[bytes]

    def __init__(self, body: Iterable[bytes], exchange: Exchange, record: Callable[[Exchange], None]) -> None:
        self._body = body
        self._exchange: Exchange | None = exchange
        self._record = record

    def __iter__(self) -> Iterator[bytes]:
        """A new iteration each time, as servers may begin a second one (gevent adds up lengths that way)."""
        try:
            return self._watch(iter(self._body))
        except BaseException:
            self._finish(True)
            raise

    def __next__(self) -> bytes:
        """For servers that take a body for an iterator without asking it for one."""
        try:
            pieces = self._pieces
        except AttributeError:
            pieces = self._pieces = self._watch(cast(Iterator[bytes], self._body))
        return next(pieces)

    def _watch(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces; a generator, as that costs least.

        ``yield from`` would close the app's own when a client leaves, ``for`` would ask an iterator for an iterator.
        """
        while True:
            try:
                piece = next(pieces)
            except StopIteration:
                self._ended()
                return
            except BaseException:
                self._finish(True)
                raise
            yield piece

    def close(self) -> object:
        """Close the app's body; a client that went away before the end is a hit all the same."""
        try:
            close = getattr(self._body, "close", None)
            result = close() if close is not None else None
        except BaseException:
            self._finish(True)
            raise
        if self._exchange is not None:
            self._finish()
        return result

    def __del__(self) -> None:
        """Count what a server (or a test client) let go of without closing it."""
        if self._exchange is not None:
            self._finish()

    def _finish(self, failed: bool = False) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.failed = failed and not exchange.gone
            self._record(exchange)

    _ended = _finish


class _SizedBody(_Body):
    """A body with a length, from which servers set Content-Length: wsgiref asks for the length, gevent iterates
    twice. So its end is not known before it is closed.
    """

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # chosen only for bodies that have a length

    def _ended(self, failed: bool = False) -> None:
        pass
