"""What real servers serve in the tests: each case of the tables, bare and counted, and what was counted.

``/bare/17`` and ``/counted/17`` are the same case under the same URL, as far as the app sees. ``/count`` tells the
sums as JSON. Run as a module it is a server of its own: ``python -m tests.unit.middleware.served wsgiref 8000``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pathhits.hits import DROPS, HITS, REQUESTS
from pathhits.middleware.asgi import count_asgi
from pathhits.middleware.wsgi import count_wsgi
from tests.unit.middleware import asgi_cases, wsgi_cases
from tests.unit.middleware.harness import AsgiCase, Count, Trace, WsgiCase

_SHAPES = ("one", "empty", "empty pieces", "large", "cookies", "204", "206 first", "304", "404", "headers read once")
#: Of the oddities those that a real server survives (an app's SystemExit ends some, as it should).
_ODD_WSGI = (
    "raises",
    "raises after start",
    "fails at the first piece",
    "fails mid-stream",
    "fails in iter",
    "fails in close after the end",
    "replaced after sent",
    "replaced after sent, goes on",
    "starts by names",
    "headers as lists",
    "never starts",
    "None",
    "a set",
    "file of the app",
    "a body that raises at attributes",
    "file, class",
)
_ODD_ASGI = (
    "raises",
    "raises after start",
    "raises mid-stream",
    "raises after the end",
    "returns without a word",
    "returns mid-stream",
    "goes on after the end",
    "reads a body in parts",
    "starlette: json",
    "starlette: background",
    "starlette: background fails",
    "starlette: stream",
    "starlette: stream fails",
    "starlette: file",
    "starlette: view raises",
    "starlette: in a thread",
)


def _wsgi_cases() -> list[WsgiCase]:
    usual = [case for case in wsgi_cases.CASES if case.name.rpartition(", ")[2] in _SHAPES and not case.extra]
    return [*usual, *(case for case in wsgi_cases.CASES if case.name in _ODD_WSGI)]


def _asgi_cases() -> list[AsgiCase]:
    usual = [case for case in asgi_cases.CASES if case.name.rpartition(", ")[2] in _SHAPES and not case.scope]
    return [*usual, *(case for case in asgi_cases.CASES if case.name in _ODD_ASGI)]


WSGI = _wsgi_cases()
ASGI = _asgi_cases()
COUNT = Count()


def _sums() -> bytes:
    sums = {counter: COUNT.total(counter) for counter in (REQUESTS, HITS, DROPS)}
    return json.dumps(sums).encode()


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    """A plain WSGI app."""
    if environ["PATH_INFO"] == "/count":
        body = _sums()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    _, how, number = environ["PATH_INFO"].split("/")
    environ["PATH_INFO"] = "/page"
    app = WSGI[int(number)].make(Trace())
    if how == "counted":
        app = count_wsgi(app, COUNT.recorder, "X-Forwarded-For")
    return app(environ, start_response)


async def _nothing() -> None:
    pass


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A plain ASGI app."""
    if scope["type"] == "lifespan":
        raise NotImplementedError("no lifespan here")
    if scope["path"] == "/count":
        body = _sums()
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})
        return
    _, how, number = scope["path"].split("/")
    scope = {**scope, "path": "/page", "raw_path": b"/page", "extensions": {}}
    app = ASGI[int(number)].make(Trace())
    if how == "counted":
        app = count_asgi(app, COUNT.recorder, "X-Forwarded-For", _nothing)
    await app(scope, receive, send)


def main(server: str, port: int) -> None:
    """Serve until the end of the process."""
    if server == "wsgiref":
        from wsgiref.simple_server import make_server

        make_server("127.0.0.1", port, wsgi).serve_forever()
    elif server == "werkzeug":
        from werkzeug.serving import run_simple

        run_simple("127.0.0.1", port, wsgi)
    elif server == "gevent":
        from gevent.pywsgi import WSGIServer

        WSGIServer(("127.0.0.1", port), wsgi).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
