"""A few pages of each framework, from the request through Redis into SQL, under the labels written down beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from flask import Blueprint, Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from werkzeug.test import Client

from pathhits import PathHits
from pathhits.integrations.starlette import PathHitsMiddleware
from tests.unit.integrations import asking, django_site
from tests.unit.integrations.tables import AGENT, Row

Ask = Callable[[str], Any]


def wsgi(app: Any) -> Ask:
    """Asks a WSGI app for a page."""
    return lambda path: Client(app).get(path, headers=[("User-Agent", AGENT)], buffered=True).close()


def asgi(app: Any) -> Ask:
    """Asks an ASGI app for a page."""
    return lambda path: asyncio.run(asking.exchange(app, asking.scope_of(Row(path, ""))))


def flask(hits: PathHits) -> tuple[Ask, dict[str, str]]:
    app, admin, users = Flask("shop"), Blueprint("admin", "shop"), Blueprint("users", "shop")
    app.add_url_rule("/p/<int:id>", "product", lambda id: f"product {id}")
    users.add_url_rule("/<name>", "user", lambda name: name)
    admin.register_blueprint(users, url_prefix="/users")
    app.register_blueprint(admin, url_prefix="/admin")
    hits.init_app(app)
    return wsgi(app), {"/p/1": "product", "/p/2": "product", "/admin/users/bob": "admin.users.user", "/none": ""}


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse("a page")


async def api_page() -> str:
    return "a page"


def starlette(hits: PathHits) -> tuple[Ask, dict[str, str]]:
    app = Starlette(routes=[Route("/p/{id:int}", page), Mount("/t/{tenant}", routes=[Route("/{x}", page)])])
    app.add_middleware(PathHitsMiddleware, hits=hits)
    return asgi(app), {"/p/1": "/p/{id:int}", "/p/2": "/p/{id:int}", "/t/acme/5": "/t/{tenant}/{x}", "/none": ""}


def fastapi(hits: PathHits) -> tuple[Ask, dict[str, str]]:
    app, users, posts = FastAPI(), APIRouter(prefix="/users"), APIRouter(prefix="/posts")
    posts.add_api_route("/{id}", api_page)
    users.include_router(posts, prefix="/{user}")
    app.include_router(users, prefix="/api")
    app.add_api_route("/p/{id}", api_page)
    labels = {"/p/1": "/p/{id}", "/p/2": "/p/{id}", "/api/users/bob/posts/1": "/api/users/{user}/posts/{id}"}
    return asgi(hits.asgi(app)), labels | {"/none": ""}


def django(hits: PathHits) -> tuple[Ask, dict[str, str]]:
    from django.core.handlers.wsgi import WSGIHandler

    labels = {"/p/1": "by_id", "/p/2": "by_id", "/blog/mine/posts/tag/cats/": "blog:posts:tag", "/none/": ""}
    return wsgi(WSGIHandler()), labels


def django_async(hits: PathHits) -> tuple[Ask, dict[str, str]]:
    from django.core.handlers.asgi import ASGIHandler

    _, labels = django(hits)
    return asgi(ASGIHandler()), labels


@pytest.fixture
def hits(redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PathHits]:
    """A PathHits with a Redis and a database of its own; Django's as well."""
    django_site.configure()
    from django.test import override_settings

    from pathhits.integrations.django import hits as configured

    fresh = type(configured)()
    # Counts are for templates, and do not wait for a busy machine unless told to.
    given = {"REDIS_URL": redis_url, "DATABASE_URL": sqlite_url, "REQUEST_DEADLINE": 30}
    with override_settings(PATHHITS=given):
        fresh.migrate()
    monkeypatch.setattr("pathhits.integrations.django.middleware.hits", fresh)
    yield fresh
    fresh.close()


@pytest.mark.parametrize("framework", [flask, starlette, fastapi, django, django_async])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse")
def test_the_pages_arrive_in_sql_under_their_labels(
    framework: Callable[[PathHits], tuple[Ask, dict[str, str]]], hits: PathHits
) -> None:
    ask, labels = framework(hits)
    truth: dict[str, int] = {}
    for number, (path, label) in enumerate(labels.items(), 1):
        for _ in range(number):
            ask(path)
        if label:
            truth[label] = truth.get(label, 0) + number
    missed = len(labels)
    assert hits.flush()
    pending = {row.path: row.hits for row in hits.top_paths()}
    report = hits.sync()
    assert pending == {row.path: row.hits for row in hits.top_paths()} == truth
    assert {row.visitors for row in hits.top_paths()} == {1}
    assert hits.drops() == {"status": missed}
    assert report.hits == sum(truth.values())
    assert hits.total("requests") == sum(truth.values()) + missed
    assert all(hits.stored_hit_count(label) == count for label, count in truth.items())
    assert hits.verify().ok
