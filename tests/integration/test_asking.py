"""What the app is asked for: whose a request is, and which item it shows, in each framework, down to SQL."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from fastapi import FastAPI
from flask import Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from werkzeug.test import Client

from pathhits import PathHits, Rules, SettingsError
from pathhits.integrations.starlette import PathHitsMiddleware
from tests.faults.writer import BROWSER, page

ROOT = Path(__file__).resolve().parents[2]
Ask = Callable[..., str]
Site = Callable[[PathHits], Ask]


@pytest.fixture
def make(redis_url: str, sqlite_url: str) -> Iterator[Callable[..., PathHits]]:
    made: list[PathHits] = []

    def build(**settings: Any) -> PathHits:
        defaults = {"redis_url": redis_url, "database_url": sqlite_url, "flush_interval": 3600, "request_deadline": 30}
        made.append(PathHits(**{**defaults, **settings}))
        made[-1].migrate()
        return made[-1]

    yield build
    for hits in made:
        hits.close(0.1)


def declare(hits: PathHits, product: str, lookup: str, find: Callable[[Any], object]) -> None:
    """The types of the shop; its stories are counted by hand."""
    hits.register_item("product", route=product, id="slug", rules=Rules.antispam())
    hits.register_item("book", route=lookup, id=find, rules=Rules.antispam())
    hits.register_item("story", rules=Rules.antispam())


def asking_wsgi(app: Any) -> Ask:
    def ask(path: str, user: str = "", peer: str = "203.0.113.7", **headers: str) -> str:
        more = {"X-User": user, "User-Agent": BROWSER} | {k.replace("_", "-"): v for k, v in headers.items()}
        return Client(app).get(path, headers=more, environ_base={"REMOTE_ADDR": peer}).text

    return ask


def asking_asgi(app: Any) -> Ask:
    def ask(path: str, user: str = "", peer: str = "203.0.113.7", **headers: str) -> str:
        more = {"x-user": user, "user-agent": BROWSER} | {k.lower().replace("_", "-"): v for k, v in headers.items()}
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "method": "GET", "path": path, "query_string": query.encode(), "client": (peer, 1),
            "headers": [(k.encode(), v.encode()) for k, v in more.items()], "root_path": "", "http_version": "1.1",
        }  # fmt: skip
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        asyncio.run(app(scope, receive, send))
        return b"".join(message.get("body", b"") for message in sent).decode()

    return ask


def flask_site(hits: PathHits) -> Flask:
    app = Flask("shop")
    app.add_url_rule("/p/<slug>", "product", lambda slug: slug)
    app.add_url_rule("/lookup", "lookup", lambda: "found")
    app.add_url_rule("/story", "story", lambda: hits.track_view("story", 1).reason)
    return app


def flask_by_init_app(hits: PathHits) -> Ask:
    app = flask_site(hits)
    declare(hits, "product", "lookup", lambda request: request.args.get("id"))
    # The contexts of the app are there, as flask_login needs them.
    hits.init_app(app, identify=lambda request: (request.path and flask_request.headers.get("X-User")) or None)
    return asking_wsgi(app)


def flask_behind_another(hits: PathHits) -> Ask:
    """A middleware between hides its environ from ours."""
    app = flask_site(hits)
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start_response: inner(dict(environ), start_response)  # type: ignore[method-assign]  # how it is done
    declare(hits, "product", "lookup", lambda request: request.args.get("id"))
    hits.init_app(app, identify=lambda request: request.headers.get("X-User") or None)
    return asking_wsgi(app)


def flask_by_environ(hits: PathHits) -> Ask:
    app = flask_site(hits)
    declare(hits, "product", "lookup", lambda environ: parse_qs(environ["QUERY_STRING"]).get("id", [None])[0])
    hits.asking.identify_by(lambda environ: environ.get("HTTP_X_USER") or None)
    return asking_wsgi(hits.wsgi(app.wsgi_app))


def _of_scope(name: str, scope: Any) -> str | None:
    return dict(scope["headers"]).get(name.encode(), b"").decode() or None


def starlette_site(hits: PathHits) -> Starlette:
    async def product(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["slug"])

    async def story(request: Request) -> PlainTextResponse:
        return PlainTextResponse((await hits.atrack_view("story", 1)).reason)

    async def lookup(request: Request) -> PlainTextResponse:
        return PlainTextResponse("found")

    return Starlette(routes=[Route("/p/{slug}", product), Route("/lookup", lookup), Route("/story", story)])


def starlette_by_middleware(hits: PathHits) -> Ask:
    app = starlette_site(hits)
    declare(hits, "/p/{slug}", "/lookup", lambda request: request.query_params.get("id"))
    app.add_middleware(PathHitsMiddleware, hits=hits, identify=lambda request: request.headers.get("x-user") or None)
    return asking_asgi(app)


def fastapi_by_middleware(hits: PathHits) -> Ask:
    app = FastAPI()
    app.add_api_route("/p/{slug}", lambda slug: PlainTextResponse(slug))
    app.add_api_route("/lookup", lambda: PlainTextResponse("found"))
    app.add_api_route("/story", lambda: PlainTextResponse(hits.track_view("story", 1).reason))  # in a thread
    declare(hits, "/p/{slug}", "/lookup", lambda request: request.query_params.get("id"))
    app.add_middleware(PathHitsMiddleware, hits=hits, identify=lambda request: request.headers.get("x-user") or None)
    return asking_asgi(app)


def starlette_by_scope(hits: PathHits) -> Ask:
    app = starlette_site(hits)
    declare(hits, "/p/{slug}", "/lookup", lambda scope: parse_qs(scope["query_string"].decode()).get("id", [None])[0])
    hits.asking.identify_by(lambda scope: _of_scope("x-user", scope))
    return asking_asgi(hits.asgi(app))


SITES = [
    flask_by_init_app,
    flask_behind_another,
    flask_by_environ,
    starlette_by_middleware,
    starlette_by_scope,
    fastapi_by_middleware,
]


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.__name__)
def test_the_rules_look_at_the_user_whom_the_app_names(site: Site, make: Callable[..., PathHits]) -> None:
    hits = make()
    ask = site(hits)
    assert ask("/p/jug", "ann") == "jug"
    ask("/p/jug", "ann", peer="198.51.100.1", User_Agent=BROWSER + " two")  # the same user elsewhere
    ask("/p/jug", "bob")  # another one at the same place
    ask("/p/jug")
    ask("/p/jug")
    assert ask("/story", "ann") == ""
    assert ask("/story", "ann", peer="198.51.100.1") == "cooldown"
    assert ask("/story", "bob") == ""
    assert hits.flush()
    assert hits.view_count("product", "jug") == 3
    assert hits.view_count("story", 1) == 2
    assert hits.stats.refusals() == {"product:cooldown": 2, "story:cooldown": 1}
    assert not [kind for kind in hits.guard.failures if "failed" in kind or kind == "internal"], hits.guard.failures


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.__name__)
def test_an_id_may_be_found_by_a_function(site: Site, make: Callable[..., PathHits]) -> None:
    hits = make()
    ask = site(hits)
    for query in ("?id=7", "?id=7", "?id=8", ""):
        assert ask(f"/lookup{query}") == "found"
    assert hits.flush()
    assert hits.view_counts("book", [7, 8]) == {"7": 1, "8": 1}
    assert hits.stats.refusals() == {"book:cooldown": 1}
    assert hits.total() == 4


def test_a_plain_app_without_routes_is_asked_for_every_get(make: Callable[..., PathHits]) -> None:
    hits = make(identify=lambda environ: environ.get("HTTP_X_USER") or None)

    def find(environ: Any) -> str | None:
        first, _, rest = environ["PATH_INFO"].strip("/").partition("/")
        return rest if first == "films" else None

    hits.register_item("film", id=find, rules=Rules.antispam())
    ask = asking_wsgi(hits.wsgi(page))
    for path, user in (("/films/alien", "ann"), ("/films/alien", "ann"), ("/films/alien", "bob"), ("/about", "ann")):
        ask(path, user)
    assert hits.flush()
    assert hits.view_count("film", "alien") == 2
    assert hits.total() == 4


def test_a_plain_asgi_app_without_routes_is_asked_too(make: Callable[..., PathHits]) -> None:
    hits = make()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    hits.register_item("film", id=lambda scope: scope["path"].removeprefix("/films/"), rules=Rules.antispam())
    ask = asking_asgi(hits.asgi(app))
    assert ask("/films/alien") == "hello"
    assert hits.flush()
    assert hits.view_count("film", "alien") == 1


ADDRESS = ".".join(["203", "0", "113", "7"])


class Mute:
    def __str__(self) -> str:
        raise RuntimeError(f"no text for {ADDRESS}")


def test_a_text_without_characters_names_nobody_and_nothing(make: Callable[..., PathHits]) -> None:
    hits = make(identify=lambda environ: environ.get("HTTP_X_USER", ""))
    hits.register_item("product", id=lambda environ: environ["QUERY_STRING"], rules=Rules.antispam())
    ask = asking_wsgi(hits.wsgi(page))
    for peer in ("203.0.113.7", "203.0.113.8"):  # two guests, who are not one user
        ask("/?jug", peer=peer)
        ask("/", peer=peer)
        assert hits.track_view("product", "pan", ip=peer, user_agent=BROWSER, user_id="")
    assert hits.flush()
    assert {row.item_id: row.views for row in hits.top_items("product")} == {"jug": 2, "pan": 2}
    assert hits.rule_stats()["refusals"] == {}


async def later(request: Any) -> str:
    return "ann"


@pytest.mark.parametrize(
    "wrong", [lambda request: 1 / 0, lambda request: Mute(), later], ids=["raises", "mute", "async"]
)
@pytest.mark.parametrize("site", [flask_site, starlette_site], ids=lambda site: site.__name__)
def test_what_they_raise_reaches_nobody_and_is_counted_and_logged(
    wrong: Callable[[Any], object], site: Any, make: Callable[..., PathHits], caplog: pytest.LogCaptureFixture
) -> None:
    hits = make(identify=wrong)
    app = site(hits)
    route = "product" if site is flask_site else "/p/{slug}"
    hits.register_item("product", route=route, id="slug", rules=Rules.antispam())
    hits.register_item("book", route="lookup" if site is flask_site else "/lookup", id=wrong)
    if site is flask_site:
        hits.init_app(app)
        ask = asking_wsgi(app)
    else:
        ask = asking_asgi(hits.asgi(app, as_request=Request))
    assert ask("/p/jug") == "jug"
    assert ask("/p/jug") == "jug"
    assert ask("/lookup?id=1") == "found"
    assert ask("/story") == ""
    assert hits.flush()
    assert hits.view_count("product", "jug") == 1, "the visitor is judged instead"
    assert hits.total() == 4
    failures = {kind: n for kind, n in hits.guard.failures.items() if "failed" in kind}
    assert failures == {"identify= failed": 3, "the id of register_item('book') failed": 1}
    assert ADDRESS not in caplog.text
    assert [record.levelno for record in caplog.records if "identify=" in record.message] == [logging.WARNING]


def test_the_app_is_asked_for_pages_of_items_only_and_once_a_request(make: Callable[..., PathHits]) -> None:
    asked: list[str] = []

    def identify(request: Any) -> str:
        asked.append(request.path)
        return "ann"

    hits = make(identify=identify)
    app = Flask("shop")
    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/p/<slug>", "product", lambda slug: hits.track_view("story", slug).reason)
    hits.register_item("product", route="product", id="slug")
    hits.init_app(app)
    ask = asking_wsgi(app)
    for path in ("/", "/p/1", "/nowhere"):
        ask(path)
    assert asked == ["/p/1"]
    assert hits.flush()


@pytest.mark.parametrize("user_ids", ["keyed", "plain"])
def test_the_event_log_holds_a_user_plain_only_when_that_is_asked_for(
    make: Callable[..., PathHits], user_ids: str
) -> None:
    hits = make(user_ids=user_ids, identify=lambda environ: environ.get("HTTP_X_USER") or None)
    hits.register_item("page", id=lambda environ: environ["PATH_INFO"])
    ask = asking_wsgi(hits.wsgi(page))
    ask("/1", "ann@example.org")
    ask("/1", "ann@example.org", Sec_GPC="1")  # wants not to be told of
    hits.track_view("page", "/1", user_id="ann@example.org", ip="203.0.113.7", user_agent=BROWSER)
    ask("/1")
    assert hits.flush()
    hits.sync()
    with hits.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT user_id FROM pathhits_events").scalars().all()
    users = [row for row in rows if row]
    assert (len(rows), len(users)) == (4, 2)
    assert len(set(users)) == 1, "identify= and user_id= name the same one"
    assert (users[0] == "ann@example.org") == (user_ids == "plain")
    keys = [key.decode() for key in hits.redis.scan_iter()]
    assert not [key for key in keys if "ann" in key]


WRONG_DECLARATIONS: list[dict[str, Any]] = [{"route": "r"}, {"id": "slug"}, {"id": 5}, {"route": "r", "id": 5}]


def test_what_cannot_be_is_refused_when_it_is_declared(make: Callable[..., PathHits]) -> None:
    with pytest.raises(SettingsError, match="give a function"):
        make(identify="ann")
    hits = make(identify=len)
    hits.asking.identify_by(len)
    with pytest.raises(SettingsError, match="given twice"):
        hits.asking.identify_by(repr)
    for declaration in WRONG_DECLARATIONS:
        with pytest.raises(SettingsError):
            hits.register_item("product", **declaration)
    for _ in range(2):  # as a factory does that runs twice
        hits.register_item("product", route="r", id=lambda request: request.path)
    with pytest.raises(SettingsError, match="there already"):
        hits.register_item("product", route="r", id=lambda request: request.args)


# Django takes its settings once a process, so each of these is a process.


@pytest.mark.parametrize("how", ["sync", "async"])
def test_items_of_django_reach_sql(how: str, redis_url: str, database_url: str, tmp_path: Path) -> None:
    env = {**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": database_url, "SHOP": str(tmp_path / "shop.db")}
    command = [sys.executable, "-c", "from tests.integration.django_shop import main; main()", how]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == {}
    assert found["views"] == {"product jug": 3, "book 7": 1, "book 8": 1, "story 1": 2}
    assert found["refusals"] == {"product:cooldown": 2, "book:cooldown": 1, "story:cooldown": 1}
    assert found["verdicts"] == ["", "cooldown", ""]
    assert found["top"] == [["jug", 3]]
    assert sorted(found["users"]) == ["1", "1", "2", "2"]
    assert found["verified"]
