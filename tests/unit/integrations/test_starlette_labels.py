"""What Starlette's requests count under, through the real middleware, buffer and judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from pathhits import PathHits
from pathhits.integrations.starlette import PathHitsMiddleware
from pathhits.testing import counting
from tests.unit.integrations.asking import ask, check, exchange, scope_of
from tests.unit.integrations.tables import Row


async def page(request: Request) -> Response:
    return HTMLResponse("a page")


async def other(request: Request) -> Response:
    return HTMLResponse("another page")


def threaded(request: Request) -> Response:
    return HTMLResponse("a page made in a thread")


async def moved(request: Request) -> Response:
    return RedirectResponse("/about")


async def broken(request: Request) -> Response:
    raise RuntimeError("broken on purpose")


async def picture(request: Request) -> Response:
    return Response(b"", media_type="image/png")


async def socket(websocket: Any) -> None:
    await websocket.close()


class Report(HTTPEndpoint):
    """An endpoint that is a class."""

    async def get(self, request: Request) -> Response:
        return HTMLResponse("report")


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI app without a framework."""
    await HTMLResponse("plain")(scope, receive, send)


def routes(folder: Path) -> list[BaseRoute]:
    """Some thirty routes of every kind that Starlette has."""
    users = [
        Route("/", page, name="index"),
        Route("/{id:int}", page, name="detail"),
        Route("/{id:int}/posts/{slug}", other, name="detail"),
        Mount("/{id:int}/albums", routes=[Route("/", other), Route("/{album:uuid}", other)]),
    ]
    inner = Starlette(
        routes=[Route("/", page), Route("/deep/{x:path}", page), Mount("/more", Router([Route("/x", other)]))]
    )
    hidden = Starlette(routes=[Route("/seen/{id:int}", threaded)])
    return [
        Route("/", page, name="home"),
        Route("/about", page, name="about"),
        Route("/again", page, name="about"),
        Route("/products/", page),
        Route("/products/{slug}", other),
        Route("/p/{id:int}", page),
        Route("/prices/{price:float}", page),
        Route("/files/{name:path}", page),
        Route("/u/{key:uuid}", page),
        Route("/two/{a:int}-{b:int}", page),
        Route("/café", page),
        Route("/thread", threaded),
        Route("/report/{year:int}", Report),
        Route("/form", page, methods=["POST"]),
        Route("/both", page, methods=["GET", "POST"]),
        Route("/moved", moved),
        Route("/broken", broken),
        Route("/picture", picture),
        Route("/dots.{kind}", page),
        WebSocketRoute("/socket", socket),
        Mount("/users", routes=users, name="users"),
        Mount("/members", routes=users, name="members"),
        Mount("/t/{tenant}", routes=[Route("/home", page), Mount("/in/{room:int}", routes=[Route("/{seat}", page)])]),
        Mount("/sub", app=inner, name="sub"),
        Mount("/cors", app=CORSMiddleware(inner, allow_origins=["*"])),
        Mount("/hidden", app=Hidden(hidden)),
        Mount("/with", routes=[Route("/mw", other)], middleware=[Middleware(CORSMiddleware, allow_origins=["*"])]),
        Mount("/static", app=StaticFiles(directory=folder), name="static"),
        Mount("/docs", app=StaticFiles(directory=folder, html=True), name="docs"),
        Mount("/plain", app=plain),
        Mount("/in/{town}/plain", app=plain),
        Mount("/same", routes=[Mount("/same", routes=[Route("/same", page)])]),
        Host("api.example.test", app=Router([Route("/v1/{id:int}", page), Route("/", page)])),
        Host("{shop}.shops.test", app=Router([Route("/", other), Mount("/in", routes=[Route("/{x}", other)])])),
    ]


class Hidden:
    """A middleware whose app nobody can look at."""

    def __init__(self, app: Any) -> None:
        self._hidden = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._hidden(scope, receive, send)


ROWS = [
    Row("/", "/"),
    Row("/?page=2", "/"),
    Row("/about", "/about"),
    Row("/again", "/again"),
    Row("/about/", "!status"),
    Row("/products/", "/products/"),
    Row("/products", "!status"),
    Row("/products/blue-mug", "/products/{slug}"),
    Row("/products/red%20mug", "/products/{slug}"),
    Row("/p/1", "/p/{id:int}"),
    Row("/p/2", "/p/{id:int}"),
    Row("/p/two", "!status"),
    Row("/prices/1.5", "/prices/{price:float}"),
    Row("/files/a/b/c.txt", "/files/{name:path}"),
    Row("/u/123e4567-e89b-12d3-a456-426614174000", "/u/{key:uuid}"),
    Row("/two/1-2", "/two/{a:int}-{b:int}"),
    Row("/caf%C3%A9", "/café"),
    Row("/thread", "/thread"),
    Row("/report/2026", "/report/{year:int}"),
    Row("/form", "!method", "POST"),
    Row("/form", "!status"),
    Row("/both", "/both"),
    Row("/both", "!method", "POST"),
    Row("/about", "!method", "HEAD"),
    Row("/about", "!method", "OPTIONS"),
    Row("/moved", "!status"),
    Row("/picture", "!excluded"),
    Row("/dots.json", "/dots.{kind}"),
    Row("/users/", "/users/"),
    Row("/members/", "/members/"),
    Row("/users/7", "/users/{id:int}"),
    Row("/members/7", "/members/{id:int}"),
    Row("/users/7/posts/hello", "/users/{id:int}/posts/{slug}"),
    Row("/users/7/albums/", "/users/{id:int}/albums/"),
    Row("/members/8/albums/123e4567-e89b-12d3-a456-426614174000", "/members/{id:int}/albums/{album:uuid}"),
    Row("/users/nowhere", "!status"),
    Row("/t/acme/home", "/t/{tenant}/home"),
    Row("/t/other/home", "/t/{tenant}/home"),
    Row("/t/acme/in/5/b", "/t/{tenant}/in/{room:int}/{seat}"),
    Row("/sub/", "/sub/"),
    Row("/sub/deep/a/b", "/sub/deep/{x:path}"),
    Row("/sub/more/x", "/sub/more/x"),
    Row("/sub/more/y", "!status"),
    Row("/cors/deep/a", "/cors/deep/{x:path}"),
    Row("/with/mw", "/with/mw"),
    Row("/hidden/seen/4", "/hidden/seen/{id:int}"),
    Row("/static/page.html", "!excluded"),
    Row("/docs/", "/docs"),
    Row("/docs/page.html", "/docs/page.html"),
    Row("/docs/pixel.png", "!excluded"),
    Row("/plain/a/1", "/plain/a/{int}"),
    Row("/plain/", "/plain"),
    Row("/in/paris/plain/2", "/in/{town}/plain/{int}"),
    Row("/same/same/same", "/same/same/same"),
    Row("/v1/3", "//api.example.test/v1/{id:int}", host="api.example.test"),
    Row("/v1/3", "!status"),
    Row("/in/x", "//{shop}.shops.test/in/{x}", host="a.shops.test:8000"),
    Row("/nowhere", "!status"),
    Row("/socket", "!status"),
    Row("//about", "!status"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<h1>docs</h1>")
    (tmp_path / "page.html").write_text("<h1>page</h1>")
    (tmp_path / "pixel.png").write_bytes(b"png")
    return tmp_path


Make = Callable[[PathHits, list[BaseRoute]], Any]


def from_outside(hits: PathHits, routes: list[BaseRoute]) -> Any:
    return hits.asgi(Starlette(routes=routes))


def router_alone(hits: PathHits, routes: list[BaseRoute]) -> Any:
    return hits.asgi(Router(routes))


def added(hits: PathHits, routes: list[BaseRoute]) -> Any:
    app = Starlette(routes=routes)
    app.add_middleware(PathHitsMiddleware, hits=hits)
    return app


def twice(hits: PathHits, routes: list[BaseRoute]) -> Any:
    app = Starlette(routes=routes, middleware=[Middleware(PathHitsMiddleware, hits=hits)])
    app.add_middleware(PathHitsMiddleware, hits=hits)
    return hits.asgi(hits.asgi(app))


class CopiesScope:
    """A middleware that keeps from us what the framework writes into the scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


def behind_a_copy_of_the_scope(hits: PathHits, routes: list[BaseRoute]) -> Any:
    return hits.asgi(Starlette(routes=routes, middleware=[Middleware(CopiesScope)]))


class ForgetsRoute:
    """Makes Starlette look like one before 1.7, which left no ``route`` in the scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            scope.pop("route", None)
            await send(message)

        await self.app(scope, receive, sent)


def without_route_in_the_scope(hits: PathHits, routes: list[BaseRoute]) -> Any:
    return hits.asgi(Starlette(routes=routes, middleware=[Middleware(ForgetsRoute)]))


MAKERS = [from_outside, router_alone, added, twice, behind_a_copy_of_the_scope, without_route_in_the_scope]
#: What cannot be known there: the routes of an app that nobody can look at.
BLIND: dict[Make, dict[str, str]] = {
    behind_a_copy_of_the_scope: {"/hidden/seen/4": "/hidden/seen/{int}"},
    without_route_in_the_scope: {"/hidden/seen/4": "/hidden/seen/{int}"},
}


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("root_path", ["", "/root"])
def test_every_route_counts_once_under_the_label_written_down(make: Make, root_path: str, folder: Path) -> None:
    hits = PathHits()
    rows = [row._replace(label=BLIND.get(make, {}).get(row.path, row.label)) for row in ROWS]
    if root_path and make in BLIND:
        rows = [row for row in rows if not row.path.startswith("/hidden")]
    with counting(hits) as counted:
        check(counted, make(hits, routes(folder)), rows, root_path)


def test_the_table_holds_enough_routes() -> None:
    assert len({row.label for row in ROWS if not row.label.startswith("!")}) >= 25


@pytest.mark.parametrize("prefer", ["name", "pattern", "path"])
def test_names_that_two_routes_share_are_no_labels(prefer: str, folder: Path) -> None:
    hits = PathHits(route_label=prefer)
    app = from_outside(hits, routes(folder))
    pattern = prefer != "path"
    with counting(hits) as counted:
        check(counted, app, [Row("/about", "/about"), Row("/again", "/again")])
        check(counted, app, [Row("/users/7", "/users/{id:int}" if pattern else "/users/{int}")])


@pytest.mark.parametrize(("make", "label"), [(from_outside, "!status"), (added, "!failed")])
def test_an_error_of_the_app_is_no_hit(make: Make, label: str, folder: Path) -> None:
    hits = PathHits()
    with counting(hits) as counted:
        # From outside the page of Starlette's own handler is seen, then the error that it raises again.
        check(counted, make(hits, routes(folder)), [Row("/broken", label)])


def test_a_page_for_what_no_route_matches_is_dropped_even_with_status_200(folder: Path) -> None:
    async def not_found(request: Request, error: Exception) -> Response:
        return HTMLResponse("Nothing here, but look around")

    hits = PathHits()
    handlers: Any = {404: not_found}
    app = hits.asgi(Starlette(routes=routes(folder), exception_handlers=handlers))
    with counting(hits) as counted:
        for path in ("/nowhere", "/users/nowhere", "/with/nowhere", "/t/acme/nowhere", "/t/acme/in/5/"):
            assert ask(counted, app, Row(path, "")) == "!unmatched", path
        check(counted, app, [Row("/about", "/about"), Row("/users/7", "/users/{id:int}")])


def test_an_app_without_a_framework_goes_by_its_normalised_path() -> None:
    hits = PathHits()
    with counting(hits) as counted:
        check(
            counted,
            hits.asgi(plain),
            [Row("/a/1/", "/a/{int}"), Row("/", "/"), Row("/b/2026-11-20", "/b/{date}"), Row("/caf%C3%A9", "/café")],
        )


def test_a_dispatcher_that_tells_root_path_is_a_mount() -> None:
    one, two = Starlette(routes=[Route("/x/{id:int}", page)]), Starlette(routes=[Route("/x/{id:int}", page)])

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].removeprefix(scope["root_path"]).split("/")[1]
        scope["root_path"] += f"/{name}"
        await {"one": one, "two": two}[name](scope, receive, send)

    hits = PathHits()
    with counting(hits) as counted:
        for root_path in ("", "/root"):
            check(
                counted,
                hits.asgi(dispatch),
                [Row("/one/x/1", "/one/x/{id:int}"), Row("/two/x/1", "/two/x/{id:int}")],
                root_path,
            )


def test_a_route_that_is_added_later_is_found() -> None:
    app = Starlette(routes=[Route("/a", page), Mount("/in", routes=[Route("/a", page)])])
    hits = PathHits()
    counting_app = hits.asgi(app)
    with counting(hits) as counted:
        check(counted, counting_app, [Row("/a", "/a"), Row("/in/a", "/in/a")])
        app.router.routes.append(Route("/b/{id:int}", page))
        app.router.routes[1].routes.append(Route("/c/{id:int}", other))  # type: ignore[attr-defined]  # a Mount
        check(
            counted,
            counting_app,
            [Row("/b/1", "/b/{id:int}"), Row("/in/c/1", "/in/c/{id:int}"), Row("/a", "/a"), Row("/in/a", "/in/a")],
        )


def test_an_app_that_is_mounted_in_itself_ends() -> None:
    app = Starlette(routes=[Route("/a", page)])
    app.mount("/me", app)
    hits = PathHits()
    with counting(hits) as counted:
        check(counted, hits.asgi(app), [Row("/a", "/a"), Row("/me/a", "/me/a"), Row("/me/me/a", "/me/me/a")])


def test_litestar_leaves_a_template() -> None:
    async def litestar(scope: Any, receive: Any, send: Any) -> None:
        scope["litestar_app"] = litestar
        if scope["path"] != "/nowhere":
            scope["path_template"] = "/p/{id:int}"
        await PlainTextResponse("page")(scope, receive, send)

    hits = PathHits()
    with counting(hits) as counted:
        check(counted, hits.asgi(litestar), [Row("/p/1", "/p/{id:int}"), Row("/nowhere", "!unmatched")])


def test_a_bug_in_reading_the_route_reaches_the_log_and_not_the_visitor(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*args: object) -> None:
        raise ValueError("our own bug")

    monkeypatch.setattr("pathhits.middleware.routes._places", wrong)
    hits = PathHits()
    app = from_outside(hits, routes(folder))
    with counting(hits) as counted:
        assert asyncio.run(exchange(app, scope_of(Row("/p/1", "")))) == (200, b"a page")
        assert counted.labels() == {"/p/{int}": 1}
    assert hits.guard.failures["internal"] == 1
    assert "internal" in caplog.text


@pytest.mark.parametrize("make", [from_outside, added])
def test_the_end_of_the_lifespan_flushes(make: Make) -> None:
    hits = PathHits()
    closed: list[float] = []
    sent: list[str] = []

    class Buffer:
        def close(self, timeout: float) -> bool:
            closed.append(timeout)
            assert "lifespan.shutdown.complete" not in sent
            return True

    hits.__dict__["buffer"] = Buffer()
    hits.__dict__["recorder"] = PathHits().recorder
    app = make(hits, [Route("/", page)])

    async def live() -> None:
        messages = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> dict[str, Any]:
            return {"type": next(messages)}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    asyncio.run(live())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(closed) == 1
