"""WSGI middleware: notes what each exchange came to, and leaves every byte of it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from pathhits.capture.exchange import Exchange, Resolve, current, is_disconnect, later
from pathhits.capture.recorder import Recorder
from pathhits.middleware.routes import decoded, name_rule, note_wsgi_route

#: Where the exchange is found by adapters inside the app.
ENVIRON_KEY = "pathhits.exchange"

#: Bodies that hold all their pieces, and have no code that could fail.
_UNFAILING = frozenset((list, tuple, bytes, str))


def _taken(number: int) -> Any:
    return later(lambda exchange: exchange.taken[number] or "")


class EnvironExchange(Exchange):
    """An exchange that has taken the little it needs from an environ, and looks at it when it is asked."""

    taken: tuple[Any, ...]
    root = ""

    method = _taken(0)
    peer = _taken(3)
    user_agent = _taken(4)
    referrer = _taken(5)
    cookies = _taken(6)
    privacy = _taken(7)
    purpose = later(lambda self: next(filter(None, self.taken[8:12]), ""))
    host = _taken(12)
    query = _taken(13)
    languages = _taken(14)
    forwarded = _taken(15)
    path = later(lambda self: self.root + decoded(self.taken[2] or ""))


class EnvironReader:
    """Makes the exchange of a request out of its environ (or Django's META); ``proxy_header`` is "" for none."""

    def __init__(self, proxy_header: str) -> None:
        self._forwarded = "HTTP_" + proxy_header.upper().replace("-", "_") if proxy_header else ""

    def read(self, environ: WSGIEnvironment) -> EnvironExchange:
        """The exchange that begins with ``environ``."""
        exchange, get = EnvironExchange(), environ.get
        # Written out, as this costs half of what a loop over the names does.
        exchange.taken = taken = (
            get("REQUEST_METHOD"),
            get("SCRIPT_NAME"),
            get("PATH_INFO"),
            get("REMOTE_ADDR"),
            get("HTTP_USER_AGENT"),
            get("HTTP_REFERER"),
            get("HTTP_COOKIE"),
            get("HTTP_SEC_GPC"),
            get("HTTP_SEC_PURPOSE"),
            get("HTTP_PURPOSE"),
            get("HTTP_X_MOZ"),
            get("HTTP_X_PURPOSE"),
            get("HTTP_HOST"),
            get("QUERY_STRING"),
            get("HTTP_ACCEPT_LANGUAGE"),
            get(self._forwarded),
        )
        if taken[1]:
            exchange.root = decoded(taken[1])
        # It is looked at for each response, and is found in the exchange sooner than on its class.
        exchange.resolve = None
        return exchange


def count_wsgi(
    app: WSGIApplication,
    recorder: Recorder,
    proxy_header: str = "",
    resolve: Resolve = name_rule,
    as_request: Callable[[Any], Any] = lambda environ: environ,
) -> WSGIApplication:
    """``app`` with its requests counted through ``recorder``. ``proxy_header`` is "" where no proxy is trusted.

    ``resolve`` makes a label of the rule that werkzeug matched, and ``as_request`` of an environ what the app's own
    functions are given; an integration may know better. What is returned is a plain function, as the call of an object
    would cost every request more than all that is noted here.
    """
    read = EnvironReader(proxy_header).read
    record, item_routes, asking = recorder.record, recorder.item_routes, recorder.asking

    def counted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            exchange = read(environ)
            outer = current.get_set()
            if (outer is not None or ENVIRON_KEY in environ) and _is_counted(exchange, outer, environ):
                inner = noting(environ, start_response)
            else:
                inner = None
                environ[ENVIRON_KEY] = exchange
                token = current.set(exchange)
                if asking.wanted:
                    exchange.request = partial(as_request, environ)
        except Exception as error:
            recorder.broken(error)
            inner = start_response
        if inner is not None:
            return app(environ, inner)

        def started(*args: Any, **named: Any) -> Callable[[bytes], object]:
            write = start_response(*args, **named) if named else start_response(*args)
            # Now, while the app still stands: afterwards its request context is gone.
            try:
                status, headers = args
                name, exchange.content_type = headers[0]
                if status != "200 OK" or name != "Content-Type" or type(headers) is not list:
                    note_unusual(exchange, args, named)
                else:
                    exchange.status = 200
            except Exception:
                note_unusual(exchange, args, named)
            try:
                if exchange.resolve is None:
                    note_wsgi_route(exchange, environ, resolve)
                    if not item_routes:
                        exchange.params = None
                if asking.wanted:
                    recorder.attend(exchange)
            except Exception as error:
                recorder.unlabelled(exchange, error)
            return partial(_written, exchange, write)

        try:
            body = app(environ, started)
        except BaseException:
            exchange.failed = not exchange.gone
            record(exchange)
            raise
        finally:
            current.put_back(token)
        try:
            if not is_whole(body):
                return watched(body, exchange, environ, recorder)
        except Exception:
            # A body that does not like to be looked at, or a bug of ours: it goes as it came.
            pass
        record(exchange)
        return body

    def noting(environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
        """Adds the route that is known in here to the exchange of the middleware further out."""

        def started(*args: Any, **named: Any) -> Callable[[bytes], object]:
            exchange = environ.get(ENVIRON_KEY)
            try:
                if exchange is not None and exchange.resolve is None:
                    note_wsgi_route(exchange, environ, resolve)
            except Exception as error:
                recorder.unlabelled(exchange, error)
            return start_response(*args, **named)

        return cast(StartResponse, started)

    return counted


def watched(body: Iterable[bytes], exchange: Exchange, environ: WSGIEnvironment, recorder: Recorder) -> Iterable[bytes]:
    """The body itself where nothing of the app can fail any more, else the body with an eye on it."""
    if recorder.is_settled(exchange) or (
        "wsgi.file_wrapper" in environ and _is_file(body, environ["wsgi.file_wrapper"])
    ):
        recorder.record(exchange)
        return body
    kind = type(body)
    if hasattr(kind, "__len__"):
        return _SizedBody(body, exchange, recorder.record)
    if not (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")):
        # Either a token that means something to the server (gunicorn has one), or a bug.
        exchange.failed = True
        recorder.record(exchange)
        return body
    return _Body(body, exchange, recorder.record)


def _is_counted(exchange: Exchange, around: Exchange | None, environ: WSGIEnvironment) -> bool:
    """Whether a middleware further out counts this request; its exchange is then the one in ``environ``.

    ``around`` is the exchange in progress: of the same request, or of a view that asks another app.
    """
    outer = environ.get(ENVIRON_KEY)
    if outer is not None and outer.under_way:
        return True
    if around is not None and around.under_way and around.path == exchange.path:
        # An ASGI app made this environ for the same request, and hands it to a WSGI app inside.
        environ[ENVIRON_KEY] = around
        return True
    return False


def note_unusual(exchange: Exchange, args: tuple[Any, ...], named: dict[str, Any]) -> None:
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


def is_whole(body: Any) -> bool:
    """Whether nothing can fail in this body: it holds its pieces, or werkzeug made it of one piece of bytes, as it does
    of what most views return.

    Werkzeug's `ClosingIterator` closes the generator over the response's pieces, then the response. Both are private;
    where they are not as expected, the body is watched like any other.
    """
    kind = type(body)
    if kind.__name__ != "ClosingIterator":
        return kind in _UNFAILING
    try:
        of_pieces, of_response = body._callbacks
        pieces = of_response.__self__.response
        if type(pieces) is not list:
            return False
        (piece,) = pieces
        return type(piece) is bytes and of_pieces.__self__.__name__ == "_iter_encoded"
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
