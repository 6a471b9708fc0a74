"""The dashboard answers wherever it is mounted, at any path, and is never counted itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from pathhits import PathHits
from pathhits.integrations.starlette import PathHitsMiddleware
from tests.integration.dashboard.reader import PASSWORD, Reader

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"}
MOUNTS = ("/_pathhits", "/stats", "/a/b/c")


@pytest.fixture
def hits(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    hits = PathHits(
        redis_url=redis_url, database_url=sqlite_url, dashboard_password=PASSWORD, flush_interval=3600, beacon=True
    )
    hits.migrate()
    yield hits
    hits.close(1.0)


def flask(hits: PathHits, mount: str) -> Any:
    app = Flask("shop")
    app.add_url_rule("/about", "about", lambda: "about")
    hits.init_app(app, dashboard=mount)
    return app


def wsgi(hits: PathHits, mount: str) -> Any:
    def site(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"about"]

    return hits.wsgi(DispatcherMiddleware(site, {mount: hits.dashboard()}))


def walk(reader: Reader) -> None:
    """Log in, look at some pages, and at one of the site."""
    assert reader.log_in().location == f"{reader.home}/"
    for path in ("/", "/drops", "/paths", "/health", "/nothing"):
        answer = reader.get(path, headers=BROWSER)
        assert answer.status_code == (404 if path == "/nothing" else 200)
        assert f'href="{reader.home}/drops' in answer.text
        assert f'href="{reader.home}/static/' in answer.text
    style = next(part for part in reader.get("/").text.split('"') if part.endswith("dashboard.css"))
    assert reader.client.get(style, buffered=True).status_code == 200
    assert reader.client.get("/about", headers=BROWSER, buffered=True).status_code == 200


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("make", [flask, wsgi])
def test_it_is_there_and_is_not_counted(hits: PathHits, make: Callable[..., Any], mount: str) -> None:
    walk(Reader(make(hits, mount), mount))
    assert hits.flush()
    assert hits.total("hits") == 1
    assert hits.total("requests") == 1 + sum(hits.drops().values())
    assert set(hits.drops()) <= {"excluded", "method", "status"}


@pytest.mark.parametrize("make", [flask, wsgi])
def test_the_beacon_keeps_its_paths(hits: PathHits, make: Callable[..., Any]) -> None:
    client = Client(make(hits, "/_pathhits"))
    answer = client.get("/_pathhits/beacon.js", headers=BROWSER)
    assert answer.status_code == 200
    assert "javascript" in answer.content_type


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("kind", [FastAPI, Starlette])
def test_it_is_there_in_an_asgi_app_and_is_not_counted(hits: PathHits, kind: type[Any], mount: str) -> None:
    app = kind()
    app.mount(mount, WSGIMiddleware(hits.dashboard()))  # type: ignore[arg-type]  # a2wsgi has types of its own
    app.router.routes.append(Route("/about", about))
    app.add_middleware(PathHitsMiddleware, hits=hits)
    asyncio.run(walk_async(app, mount))
    assert hits.flush()
    assert hits.total("hits") == 1
    assert hits.drops()["excluded"] >= 3


@pytest.mark.parametrize("mount", MOUNTS)
def test_it_is_there_beside_django_and_is_not_counted(redis_url: str, sqlite_url: str, mount: str) -> None:
    env = {
        **os.environ, "REDIS_URL": redis_url, "DATABASE_URL": sqlite_url, "PATHHITS_DASHBOARD_PASSWORD": PASSWORD,
    }  # fmt: skip
    code = "from tests.integration.dashboard.django_host import main; main()"
    run = subprocess.run([sys.executable, "-c", code, mount], env=env, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["1", "0"]


async def about(request: Any) -> HTMLResponse:
    return HTMLResponse("about")


async def walk_async(app: Any, mount: str) -> None:
    """As `walk`, of an ASGI app."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example", headers=BROWSER) as client:
        form = await client.get(f"{mount}/drops?range=7d")
        assert form.status_code == 401
        assert f'value="{mount}/drops?range=7d"' in form.text
        token = form.text.partition('name="token" value="')[2].partition('"')[0]
        data = {"token": token, "password": PASSWORD, "next": f"{mount}/drops?range=7d"}
        assert (await client.post(f"{mount}/login", data=data)).headers["location"] == f"{mount}/drops?range=7d"
        for path in ("/", "/drops", "/health"):
            assert (await client.get(mount + path)).status_code == 200
        assert (await client.get("/about")).status_code == 200


def test_two_apps_of_one_process_have_one_each(redis_url: str, sqlite_url: str) -> None:
    both = [
        PathHits(redis_url=redis_url, database_url=sqlite_url, namespace=name, dashboard_password=PASSWORD + name)
        for name in ("one", "two")
    ]
    both[0].migrate()
    readers = [Reader(flask(hits, "/_pathhits")) for hits in both]
    for hits, reader in zip(both, readers, strict=True):
        assert reader.log_in(PASSWORD + hits.settings.namespace).status_code == 303
        assert reader.get().status_code == 200
    for hits in both:
        hits.close(1.0)


def test_a_host_with_templates_and_settings_of_its_own_changes_nothing(hits: PathHits) -> None:
    app = Flask("shop")
    app.jinja_env.autoescape = False
    app.jinja_env.block_start_string = "<%"
    app.url_map.strict_slashes = False
    hits.init_app(app, dashboard="/_pathhits")
    reader = Reader(app)
    reader.log_in()
    assert "<h1>localhost</h1>" in reader.get().text
