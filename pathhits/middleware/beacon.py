"""Puts the two paths of the beacon in front of a WSGI or ASGI app; all else passes untouched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from pathhits.capture.beacon import LONGEST_POST, POST_PATH, SCRIPT_PATH, Answer, Beacon, Sender
from pathhits.middleware.asgi import AsgiApp, Receive, Scope, Send, path_below_root, read_scope
from pathhits.middleware.wsgi import EnvironReader

_PATHS = frozenset((SCRIPT_PATH, POST_PATH))


def serve_wsgi(app: WSGIApplication, beacon: Beacon, proxy_header: str) -> WSGIApplication:
    """``app``, with the beacon answered; ``proxy_header`` is "" where no proxy is trusted."""
    read = EnvironReader(proxy_header).read

    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") not in _PATHS:
            return app(environ, start_response)
        get = environ.get
        sender = Sender(get("HTTP_SEC_FETCH_SITE", ""), get("HTTP_ORIGIN", ""), get("HTTP_HOST", ""))
        answer = beacon.answer(read(environ), sender, _posted(environ))
        start_response(f"{answer.status} {answer.reason}", [*answer.headers, *_length(answer)])
        return [answer.body]

    return served


def serve_asgi(app: AsgiApp, beacon: Beacon, proxy_header: str) -> AsgiApp:
    """``app``, with the beacon answered; as `serve_wsgi`."""

    async def served(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http" or path_below_root(scope) not in _PATHS:
            return await app(scope, receive, send)
        headers = list(scope["headers"])
        exchange = read_scope({**scope, "headers": headers}, proxy_header)
        found = {name: value.decode("latin-1") for name, value in headers}
        sender = Sender(found.get(b"sec-fetch-site", ""), found.get(b"origin", ""), found.get(b"host", ""))
        body = await _received(receive) if exchange.method == "POST" else b""
        # In a thread, as the key may have to be asked for: the loop does not wait.
        answer = await asyncio.to_thread(beacon.answer, exchange, sender, body)
        said = [(name.lower().encode(), value.encode()) for name, value in (*answer.headers, *_length(answer))]
        await send({"type": "http.response.start", "status": answer.status, "headers": said})
        await send({"type": "http.response.body", "body": answer.body})
        return None

    return served


def _length(answer: Answer) -> list[tuple[str, str]]:
    return [] if answer.status == 204 else [("Content-Length", str(len(answer.body)))]


def _posted(environ: WSGIEnvironment) -> bytes:
    """The body of a post as short as ours are, else nothing."""
    length: str = environ.get("CONTENT_LENGTH") or ""
    if environ["REQUEST_METHOD"] != "POST" or not length.isdigit() or int(length) > LONGEST_POST:
        return b""
    return bytes(environ["wsgi.input"].read(int(length)))


async def _received(receive: Receive) -> bytes:
    body, more = b"", True
    while more and len(body) <= LONGEST_POST:
        message = await receive()
        body += bytes(message.get("body", b""))
        more = message["type"] == "http.request" and bool(message.get("more_body"))
    return body if len(body) <= LONGEST_POST else b""
