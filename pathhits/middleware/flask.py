"""The WSGI middleware for Flask: what `count_wsgi` does for any app, in fewer steps; imports no framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from pathhits.capture.exchange import Exchange, Resolve, current
from pathhits.capture.recorder import Recorder
from pathhits.middleware.routes import note_wsgi_route
from pathhits.middleware.wsgi import ENVIRON_KEY, EnvironReader, count_wsgi, is_whole, note_unusual, watched


def count_flask(
    app: WSGIApplication, recorder: Recorder, proxy_header: str, resolve: Resolve, as_request: Callable[[Any], Any]
) -> WSGIApplication:
    """As `count_wsgi`, for Flask's own ``wsgi_app`` with nothing around it.

    So the route is where Flask leaves it, `current` finds the exchange by Flask's own context, and it is werkzeug that
    answers: by two positional arguments, with bodies that it returns and never writes. Where the app is to be asked,
    or another app that is counted is around, this is left to `count_wsgi`.
    """
    usual = count_wsgi(app, recorder, proxy_header, resolve, as_request)
    read = EnvironReader(proxy_header).read
    record, item_routes, asking = recorder.record, recorder.item_routes, recorder.asking
    get_outer = current.get_set

    def counted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if asking.wanted or ENVIRON_KEY in environ or get_outer() is not None:
            return usual(environ, start_response)
        try:
            exchange = environ[ENVIRON_KEY] = read(environ)
        except Exception as error:
            recorder.broken(error)
            return app(environ, start_response)

        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            write = start_response(status, headers, *more) if more else start_response(status, headers)
            # Now, while the app still stands: afterwards its request context is gone.
            try:
                name, exchange.content_type = headers[0]
                if status != "200 OK" or name != "Content-Type":
                    note_unusual(exchange, (status, headers), {})
                else:
                    exchange.status = 200
                request = environ["werkzeug.request"]
                exchange.rule = request.url_rule
                exchange.resolve = resolve
                if item_routes:
                    exchange.params = request.view_args
            except Exception:
                unusual(environ, exchange, status, headers)
            return write

        try:
            body = app(environ, started)
        except BaseException:
            exchange.failed = True
            record(exchange)
            raise
        try:
            if not is_whole(body):
                return watched(body, exchange, environ, recorder)
        except Exception:
            # A body that does not like to be looked at, or a bug of ours: it goes as it came.
            pass
        record(exchange)
        return body

    def unusual(environ: WSGIEnvironment, exchange: Exchange, status: str, headers: Any) -> None:
        """Note a response without headers, or one that a request class of its own made."""
        note_unusual(exchange, (status, headers), {})
        try:
            note_wsgi_route(exchange, environ, resolve)
        except Exception as error:
            recorder.unlabelled(exchange, error)

    return counted
