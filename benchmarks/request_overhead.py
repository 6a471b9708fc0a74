"""What a request costs with pathhits, against the same app bare, in process and interleaved.

    python -m benchmarks.request_overhead [--rounds 60] [--only flask,django]

Rounds of bare and counted requests alternate in one process, in random order within a pair; each request is that of a
browser (15 headers). Two columns:

* *request thread*: the flusher sleeps, so this is what the middleware itself does while a visitor waits. Median and
  mean over the rounds of (counted - bare), and the ratio of the 99th percentiles of single requests. A round has 500
  requests, and what they left is flushed before the next: that is what a process keeps which answers 500 a second.
  What is kept makes the next requests slower, as the memory they get in its stead is cold.
* *with flusher*: it runs against a real Redis and sends ten times a second while requests come back to back, which is
  far more than it would have to do on a site with as many requests in a second. The mean includes what its thread
  takes from the interpreter lock, and the last flush of each round.

A busy machine makes the figures larger. The lines called *least* are what the smallest possible middleware costs there
and then, one that appends the status to a list: 0.4 to 0.7 us on a machine of 2.5 GHz that is at rest. ``--steps``
prints instead how many bytecodes a request takes, bare and added, which is the same on every machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pathhits import PathHits, Settings
from tests.servers.redis import RedisServer

if TYPE_CHECKING:
    from fastapi import FastAPI
    from flask import Flask

HEADERS = {
    "Host": "shop.example",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://shop.example/products",
    "Connection": "keep-alive",
    "Cookie": "session=0123456789abcdef; theme=dark; consent=1",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
}
PAGE = "<!doctype html><title>A shop</title>" + "<p>A page of an ordinary size.</p>" * 100
#: Requests that are kept from one flush to the next where the flusher sleeps.
KEPT = 500
#: Seconds a round takes, about; long enough for the flusher to run several times in it.
ROUND = 0.25
FLUSH_INTERVAL = 0.1  # seconds, with the flusher

#: Runs the app once and returns the nanoseconds it took.
Once = Callable[[], int]


# Requests.


def environ() -> dict[str, Any]:
    """What a WSGI server makes of the request."""
    made: dict[str, Any] = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}
    made |= {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/products/42/blue-kettle",
        "QUERY_STRING": "",
        "RAW_URI": "/products/42/blue-kettle",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "benchmark",
        "REMOTE_ADDR": "203.0.113.9",
        "REMOTE_PORT": "4711",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": _FileWrapper,
    }
    return made


class _FileWrapper:
    """As every server has one, the middleware has to look for it."""


def scope() -> dict[str, Any]:
    """What an ASGI server makes of the request: uvicorn's."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/products/42/blue-kettle",
        "raw_path": b"/products/42/blue-kettle",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()],
        "client": ("203.0.113.9", 4711),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


def wsgi_once(app: Any) -> Once:
    """One request as a WSGI server makes it, to the close."""

    def write(data: bytes) -> None:
        pass

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        assert status == "200 OK", status
        return write

    def once() -> int:
        request = environ()
        start = time.perf_counter_ns()
        body = app(request, start_response)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()
        return time.perf_counter_ns() - start

    return once


_loop = asyncio.new_event_loop()


def asgi_once(app: Any, prefix: str = "") -> Once:
    """One request as an ASGI server makes it; the loop itself is left out, as it is the same for both."""

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200, message

    async def timed() -> int:
        request = scope()
        request["path"] = prefix + request["path"]
        incoming = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not incoming:
                await asyncio.Event().wait()
            return incoming.pop()

        start = time.perf_counter_ns()
        await app(request, receive, send)
        return time.perf_counter_ns() - start

    return lambda: _loop.run_until_complete(timed())


# Apps: each gives a bare and a counted one.


def plain_wsgi(hits: PathHits) -> tuple[Once, Once]:
    page = PAGE.encode()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(page)))])
        return [page]

    return wsgi_once(app), wsgi_once(hits.wsgi(app))


def _flask() -> Flask:
    from flask import Flask

    app = Flask("shop")
    for number in range(30):
        app.add_url_rule(f"/section{number}/<int:id>", f"section{number}", lambda id: PAGE)
    app.add_url_rule("/products/<int:id>/<slug>", "product", lambda id, slug: PAGE)
    return app


def flask(hits: PathHits) -> tuple[Once, Once]:
    counted = _flask()
    hits.init_app(counted)
    return wsgi_once(_flask()), wsgi_once(counted)


def wsgi_flask(hits: PathHits) -> tuple[Once, Once]:
    app = _flask()
    return wsgi_once(app.wsgi_app), wsgi_once(hits.wsgi(app.wsgi_app))


def _django(handler: Callable[[], Any]) -> tuple[Any, Any]:
    """A handler without our middleware and one with it, both with two that most projects have."""
    from django.test.utils import override_settings

    usual = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
    with override_settings(MIDDLEWARE=usual):
        bare = handler()
    with override_settings(MIDDLEWARE=["pathhits.integrations.django.PathHitsMiddleware", *usual]):
        return bare, handler()


def _django_hits(settings: Settings) -> PathHits:
    """The PathHits of the Django project, made anew with these settings; Django itself is set up once."""
    import types

    import django
    from django.conf import settings as project
    from django.http import HttpResponse
    from django.urls import path

    async def product_async(request: Any, id: int, slug: str) -> HttpResponse:
        return HttpResponse(PAGE)

    def product(request: Any, id: int, slug: str) -> HttpResponse:
        return HttpResponse(PAGE)

    if not project.configured:
        urls = types.ModuleType("benchmark_urls")
        pages = [path(f"section{n}/<int:id>", lambda request, id: HttpResponse(PAGE), name=f"s{n}") for n in range(30)]
        urls.urlpatterns = [  # type: ignore[attr-defined]
            *pages,
            path("products/<int:id>/<slug:slug>", product, name="product"),
            path("async/products/<int:id>/<slug:slug>", product_async, name="product_async"),
        ]
        sys.modules[urls.__name__] = urls
        project.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls.__name__, SECRET_KEY="a benchmark's", PATHHITS={})
        django.setup()
    from pathhits.integrations.django import hits

    hits.__dict__.clear()
    type(hits).__init__(hits)
    PathHits.__init__(hits, settings)
    return hits


def django(hits: PathHits) -> tuple[Once, Once]:
    from django.core.handlers.wsgi import WSGIHandler

    bare, counted = _django(WSGIHandler)
    return wsgi_once(bare), wsgi_once(counted)


def django_async(hits: PathHits) -> tuple[Once, Once]:
    from django.core.handlers.asgi import ASGIHandler

    bare, counted = _django(ASGIHandler)
    return asgi_once(bare, "/async"), asgi_once(counted, "/async")


def _fastapi() -> FastAPI:
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse

    async def product(id: int, slug: str) -> HTMLResponse:
        return HTMLResponse(PAGE)

    app = FastAPI()
    for number in range(30):
        app.get(f"/section{number}/{{id}}")(lambda id: PAGE)
    app.get("/products/{id}/{slug}")(product)
    return app


def fastapi(hits: PathHits) -> tuple[Once, Once]:
    from pathhits.integrations.starlette import PathHitsMiddleware

    counted = _fastapi()
    counted.add_middleware(PathHitsMiddleware, hits=hits)
    return asgi_once(_fastapi()), asgi_once(counted)


def starlette(hits: PathHits) -> tuple[Once, Once]:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    from pathhits.integrations.starlette import PathHitsMiddleware

    async def product(request: Request) -> HTMLResponse:
        return HTMLResponse(PAGE)

    def make() -> Starlette:
        sections = [Route(f"/section{number}/{{id:int}}", lambda request: HTMLResponse(PAGE)) for number in range(30)]
        return Starlette(routes=[*sections, Route("/products/{id:int}/{slug}", product)])

    counted = make()
    counted.add_middleware(PathHitsMiddleware, hits=hits)
    return asgi_once(make()), asgi_once(counted)


def plain_asgi(hits: PathHits) -> tuple[Once, Once]:
    page = PAGE.encode()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/html"), (b"content-length", str(len(page)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page})

    return asgi_once(app), asgi_once(hits.asgi(app))


def least_wsgi(hits: PathHits) -> tuple[Once, Once]:
    seen: list[str] = []
    bare = _flask()

    def app(environ: Any, start_response: Any) -> Any:
        def started(status: str, headers: Any, exc_info: Any = None) -> Any:
            seen.append(status)
            return start_response(status, headers)

        return bare.wsgi_app(environ, started)

    return wsgi_once(bare.wsgi_app), wsgi_once(app)


def least_asgi(hits: PathHits) -> tuple[Once, Once]:
    seen: list[int] = []
    bare = _fastapi()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.append(message["status"])
            await send(message)

        await bare(scope, receive, sent)

    return asgi_once(bare), asgi_once(app)


APPS = {
    "least, on Flask": least_wsgi,
    "least, on FastAPI": least_asgi,
    "plain WSGI": plain_wsgi,
    "Flask": flask,
    "Flask, by hits.wsgi": wsgi_flask,
    "Django": django,
    "Django, async": django_async,
    "plain ASGI": plain_asgi,
    "Starlette": starlette,
    "FastAPI": fastapi,
}


# Measuring.


class Series:
    """The times of one variant: all its requests, and one figure a round."""

    def __init__(self, once: Once) -> None:
        self.once = once
        self.all: list[int] = []
        self.medians: list[float] = []
        self.means: list[float] = []

    def round(self, requests: int, finish: Callable[[], object]) -> None:
        """One round; ``finish`` belongs to its mean."""
        gc.collect()
        start = time.perf_counter_ns()
        times = [self.once() for _ in range(requests)]
        before = time.perf_counter_ns()
        finish()
        flushing = time.perf_counter_ns() - before
        self.all += times
        self.medians.append(statistics.median(times))
        self.means.append((before - start + flushing) / requests)

    def percentile(self, percent: float) -> float:
        return sorted(self.all)[int(len(self.all) * percent / 100)]


def compare(bare_once: Once, counted_once: Once, hits: PathHits, rounds: int, live: bool) -> tuple[Series, Series]:
    """Interleaved rounds of both; with ``live`` the flush of what a round counted is part of the round."""
    bare, counted = Series(bare_once), Series(counted_once)
    for once in (bare_once, counted_once):
        for _ in range(300):
            once()
    requests = max(100, int(ROUND * 1e9 / statistics.median(bare_once() for _ in range(200))))
    requests = min(requests, 5_000 if live else KEPT)
    for _ in range(rounds):
        pair = [(bare, lambda: None), (counted, hits.flush if live else lambda: None)]
        random.shuffle(pair)
        for series, finish in pair:
            series.round(requests, finish)
        assert hits.flush(30.0), "Redis did not take it"
    return bare, counted


def _added(bare: list[float], counted: list[float]) -> str:
    """Median of the differences of paired rounds, and the middle half of them, in microseconds."""
    differences = [(one - other) / 1000 for one, other in zip(counted, bare, strict=True)]
    low, middle, high = statistics.quantiles(differences, n=4)
    return f"{middle:6.2f} ({low:.1f} to {high:.1f})"


def report(name: str, make: Callable[[PathHits], tuple[Once, Once]], url: str, rounds: int) -> None:
    """Measure one app in both ways and print its line."""
    cells = []
    for live in (False, True):
        hits = _counter(name, url, FLUSH_INTERVAL if live else 3600.0)
        bare, counted = compare(*make(hits), hits, rounds, live)
        if not name.startswith("least"):
            assert hits.buffer.sent >= len(counted.all), f"{hits.buffer.sent} of {len(counted.all)} were counted"
        if not live:
            ratio = counted.percentile(99) / bare.percentile(99)
            cells += [
                f"{statistics.median(bare.all) / 1000:.1f}",
                _added(bare.medians, counted.medians),
                f"{ratio:.2f}",
            ]
        cells.append(_added(bare.means, counted.means))
        hits.close()
    print(f"{name:20} " + "  ".join(f"{cell:>24}" for cell in cells), flush=True)


def report_steps(name: str, make: Callable[[PathHits], tuple[Once, Once]], url: str) -> None:
    """Print how many bytecodes one request takes, bare and added by us."""
    hits = _counter(name, url, 3600.0)
    bare, counted = (_steps(once) for once in make(hits))
    print(f"{name:20} {bare:>24}  {counted - bare:>24}", flush=True)
    hits.close()


def _steps(once: Once) -> int:
    steps = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        steps += event == "opcode"
        return trace

    for _ in range(5):
        once()
    sys.settrace(trace)
    try:
        once()
    finally:
        sys.settrace(None)
    return steps


def _counter(name: str, url: str, interval: float) -> PathHits:
    settings = Settings(redis_url=url, flush_interval=interval)
    return _django_hits(settings) if name.startswith("Django") else PathHits(settings)


def main() -> None:
    """Print a line for each app, in microseconds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default="", help="parts of names, separated by commas")
    parser.add_argument("--steps", action="store_true", help="count bytecodes instead of time")
    options = parser.parse_args()
    wanted = [word.lower() for word in options.only.split(",")]
    titles = ["bare, median", "added, median", "p99 ratio", "added, mean", "added with flusher, mean"]
    if options.steps:
        titles = ["bare", "added"]
    heading = "bytecodes a request" if options.steps else "us a request"
    print(f"{heading:20} " + "  ".join(f"{title:>24}" for title in titles))
    with RedisServer() as server:
        for name, make in APPS.items():
            if not any(word in name.lower() for word in wanted):
                continue
            if options.steps:
                report_steps(name, make, server.url)
            else:
                report(name, make, server.url, options.rounds)


if __name__ == "__main__":
    main()
