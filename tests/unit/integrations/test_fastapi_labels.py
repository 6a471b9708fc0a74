"""What FastAPI's requests count under, through the real middleware, buffer and judge."""

from __future__ import annotations

import importlib
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pathhits import PathHits
from pathhits.integrations.starlette import PathHitsMiddleware
from pathhits.testing import counting
from tests.unit.integrations.asking import ask, check
from tests.unit.integrations.tables import Row


async def page() -> str:
    """A view for any route."""
    return "a page"


def threaded() -> str:
    """A view that FastAPI runs in a thread."""
    return "a page made in a thread"


async def by_id(id: int) -> str:
    return f"a page for {id}"


async def by_key(key: uuid.UUID) -> str:
    return f"a page for {key}"


async def moved() -> Response:
    return RedirectResponse("/about")


async def missing() -> None:
    raise HTTPException(404)


async def broken() -> None:
    raise RuntimeError("broken on purpose")


async def picture() -> Response:
    return Response(b"", media_type="image/png")


async def starlette_page(request: Request) -> Response:
    return HTMLResponse("a page")


def add(router: FastAPI | APIRouter, path: str, view: Callable[..., Any] = page, **options: Any) -> None:
    router.add_api_route(path, view, response_class=HTMLResponse, response_model=None, **options)


def make_app(folder: Path, **options: Any) -> FastAPI:
    """Some forty routes of every kind that FastAPI has."""
    app = FastAPI(**options)
    for path in ("/", "/about", "/products/", "/products/{slug}", "/files/{name:path}", "/café", "/two/{a}-{b}"):
        add(app, path)
    add(app, "/p/{id}", by_id)
    add(app, "/n/{id:int}", by_id)
    add(app, "/u/{key}", by_key)
    add(app, "/thread", threaded)
    add(app, "/moved", moved)
    add(app, "/missing", missing)
    add(app, "/broken", broken)
    add(app, "/picture", picture)
    add(app, "/form", methods=["POST"])
    add(app, "/both", methods=["GET", "POST"], include_in_schema=False)
    app.add_route("/raw/{id:int}", starlette_page)

    posts = APIRouter(prefix="/posts")
    add(posts, "")
    add(posts, "/{id}", by_id)
    users = APIRouter(prefix="/users")
    add(users, "/")
    add(users, "/{id}", by_id)
    users.include_router(posts, prefix="/{user}")
    users.add_route("/raw/{x}", starlette_page)  # the router's own prefix is not for these
    api = APIRouter()
    add(api, "/status")
    api.include_router(users)
    api.mount("/inner", Starlette(routes=[Route("/{x}", starlette_page)]))
    app.include_router(api, prefix="/api/v1")
    app.include_router(api, prefix="/api/v2")
    app.include_router(posts, prefix="/blog/{blog}")

    sub = FastAPI()
    add(sub, "/")
    add(sub, "/items/{id}", by_id)
    sub.include_router(users, prefix="/in")
    below = FastAPI()
    add(below, "/x/{id}", by_id)
    sub.mount("/below", below)
    app.mount("/sub", sub)
    app.mount("/t/{tenant}", sub)
    app.mount("/star", Starlette(routes=[Route("/{x:int}", starlette_page), Mount("/m", routes=[Route("/", page)])]))
    app.mount("/static", StaticFiles(directory=folder))
    app.mount("/site", StaticFiles(directory=folder, html=True))
    return app


ROWS = [
    Row("/", "/"),
    Row("/?q=1", "/"),
    Row("/about", "/about"),
    Row("/about/", "!status"),
    Row("/products/", "/products/"),
    Row("/products", "!status"),
    Row("/products/blue-mug", "/products/{slug}"),
    Row("/files/a/b/c.txt", "/files/{name:path}"),
    Row("/caf%C3%A9", "/café"),
    Row("/two/1-2", "/two/{a}-{b}"),
    Row("/p/1", "/p/{id}"),
    Row("/p/2", "/p/{id}"),
    Row("/p/two", "!status"),
    Row("/n/1", "/n/{id:int}"),
    Row("/n/two", "!status"),
    Row("/u/123e4567-e89b-12d3-a456-426614174000", "/u/{key}"),
    Row("/thread", "/thread"),
    Row("/moved", "!status"),
    Row("/missing", "!status"),
    Row("/picture", "!excluded"),
    Row("/form", "!method", "POST"),
    Row("/form", "!status"),
    Row("/both", "/both"),
    Row("/both", "!method", "POST"),
    Row("/about", "!method", "HEAD"),
    Row("/about", "!method", "OPTIONS"),
    Row("/raw/5", "/raw/{id:int}"),
    Row("/docs", "/docs"),
    Row("/redoc", "/redoc"),
    Row("/openapi.json", "/openapi.json"),
    Row("/api/v1/status", "/api/v1/status"),
    Row("/api/v2/status", "/api/v2/status"),
    Row("/api/v1/users/", "/api/v1/users/"),
    Row("/api/v1/users/7", "/api/v1/users/{id}"),
    Row("/api/v2/users/7", "/api/v2/users/{id}"),
    Row("/api/v1/users/bob/posts", "/api/v1/users/{user}/posts"),
    Row("/api/v2/users/bob/posts/3", "/api/v2/users/{user}/posts/{id}"),
    Row("/api/v2/raw/3", "/api/v2/raw/{x}"),
    Row("/api/v1/inner/3", "/api/v1/inner/{x}"),
    Row("/api/v2/inner/3", "/api/v2/inner/{x}"),
    Row("/api/v3/status", "!status"),
    Row("/blog/mine/posts/3", "/blog/{blog}/posts/{id}"),
    Row("/sub/", "/sub/"),
    Row("/sub/items/3", "/sub/items/{id}"),
    Row("/sub/in/users/3", "/sub/in/users/{id}"),
    Row("/sub/in/users/bob/posts/3", "/sub/in/users/{user}/posts/{id}"),
    Row("/sub/below/x/1", "/sub/below/x/{id}"),
    Row("/sub/docs", "/sub/docs"),
    Row("/sub/below/docs", "/sub/below/docs"),
    Row("/sub/nowhere", "!status"),
    Row("/t/acme/items/3", "/t/{tenant}/items/{id}"),
    Row("/t/other/items/3", "/t/{tenant}/items/{id}"),
    Row("/t/acme/below/x/1", "/t/{tenant}/below/x/{id}"),
    Row("/t/acme/docs", "/t/{tenant}/docs"),
    Row("/star/3", "/star/{x:int}"),
    Row("/static/page.html", "!excluded"),
    Row("/site/", "/site"),
    Row("/site/page.html", "/site/page.html"),
    Row("/nowhere", "!status"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<h1>site</h1>")
    (tmp_path / "page.html").write_text("<h1>page</h1>")
    return tmp_path


Make = Callable[[PathHits, FastAPI], Any]


def from_outside(hits: PathHits, app: FastAPI) -> Any:
    return hits.asgi(app)


def added(hits: PathHits, app: FastAPI) -> Any:
    app.add_middleware(PathHitsMiddleware, hits=hits)
    return app


def twice(hits: PathHits, app: FastAPI) -> Any:
    app.add_middleware(PathHitsMiddleware, hits=hits)
    app.add_middleware(PathHitsMiddleware, hits=hits)
    return hits.asgi(app)


@pytest.mark.parametrize("make", [from_outside, added, twice])
@pytest.mark.parametrize("root_path", ["", "/root"])
@pytest.mark.parametrize("prefer", ["name", "pattern"])
def test_every_route_counts_once_under_the_label_written_down(
    make: Make, root_path: str, prefer: str, folder: Path
) -> None:
    hits = PathHits(route_label=prefer)
    with counting(hits) as counted:
        check(counted, make(hits, make_app(folder)), ROWS, root_path)


def test_the_table_holds_enough_routes() -> None:
    assert len({row.label for row in ROWS if not row.label.startswith("!")}) >= 25


@pytest.mark.parametrize("make", [from_outside, added])
@pytest.mark.parametrize("in_the_path", [False, True])
def test_the_root_path_that_the_app_was_told_is_no_part_of_the_label(
    make: Make, in_the_path: bool, folder: Path
) -> None:
    hits = PathHits()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer FastAPI would have the server say it
        app = make_app(folder, root_path="/api")
    rows = [Row("/p/1", "/p/{id}"), Row("/api/v1/users/7", "!status")]
    if in_the_path:  # without it FastAPI itself finds no mounts
        rows = [
            Row("/api/p/1", "/p/{id}"),
            Row("/api/sub/items/1", "/sub/items/{id}"),
            Row("/api/t/acme/items/1", "/t/{tenant}/items/{id}"),
        ]
    with counting(hits) as counted:
        check(counted, make(hits, app), rows)


@pytest.mark.parametrize(("make", "label"), [(from_outside, "!status"), (added, "!failed")])
def test_an_error_of_the_app_is_no_hit(make: Make, label: str, folder: Path) -> None:
    hits = PathHits()
    with counting(hits) as counted:
        check(counted, make(hits, make_app(folder)), [Row("/broken", label)])


def test_a_page_for_what_no_route_matches_is_dropped_even_with_status_200(folder: Path) -> None:
    app = make_app(folder)

    @app.exception_handler(404)
    async def not_found(request: Request, error: Exception) -> Response:
        return HTMLResponse("Nothing here, but look around")

    hits = PathHits()
    with counting(hits) as counted:
        counting_app = hits.asgi(app)
        for path in ("/nowhere", "/api/v1/nowhere", "/api/v1/users/bob/nowhere", "/wp-login.php"):
            assert ask(counted, counting_app, Row(path, "")) == "!unmatched", path
        # A view that finds nothing was matched all the same.
        check(counted, counting_app, [Row("/missing", "/missing"), Row("/p/1", "/p/{id}")])


@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason="this FastAPI has no folders of files")
def test_the_pages_of_a_frontend_go_by_their_paths(folder: Path) -> None:
    app = make_app(folder)
    app.frontend("/front", directory=folder)
    hits = PathHits()
    with counting(hits) as counted:
        check(
            counted,
            hits.asgi(app),
            [Row("/front/page.html", "/front/page.html"), Row("/front/", "/front"), Row("/about", "/about")],
        )


def test_a_flask_app_in_a_fastapi_app_counts_once_whether_or_not_it_is_counted_itself(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in favour of a package of the same kind
        wsgi_in_asgi = importlib.import_module("starlette.middleware.wsgi").WSGIMiddleware
    for counted_itself in (False, True):
        hits = PathHits()
        shop = Flask("shop", static_folder=None)
        shop.add_url_rule("/", "index", lambda: "shop")
        shop.add_url_rule("/p/<int:id>", "product", lambda id: f"product {id}")
        if counted_itself:
            hits.init_app(shop)
        app = make_app(folder)
        app.mount("/shop", wsgi_in_asgi(shop))
        with counting(hits) as counted:
            label = "/shop/p/<int:id>" if counted_itself else "/shop/p/{int}"
            check(counted, hits.asgi(app), [Row("/shop/p/1", label), Row("/p/1", "/p/{id}")])
