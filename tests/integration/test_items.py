"""Views of items from the request, or from `track_view`, through Redis into SQL."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from werkzeug.test import Client

from pathhits import PathHits, Rules
from pathhits.capture.recorder import Entry
from pathhits.errors import SettingsError
from pathhits.integrations.starlette import PathHitsMiddleware
from tests.faults.writer import BOT, BROWSER, page, request
from tests.servers.proxy import Fault, FaultProxy
from tests.servers.redis import RedisServer
from tests.unit.integrations import asking
from tests.unit.integrations.tables import Row

Start = Callable[[Callable[[], RedisServer]], RedisServer]
Make = Callable[..., PathHits]
#: No flush by the clock: the test flushes.
NEVER = 3600
WHO: dict[str, Any] = {"ip": "203.0.113.7", "user_agent": BROWSER}


@pytest.fixture
def make(redis_url: str, sqlite_url: str) -> Iterator[Make]:
    made: list[PathHits] = []

    def build(**settings: Any) -> PathHits:
        defaults = {
            "redis_url": redis_url, "database_url": sqlite_url, "flush_interval": NEVER, "request_deadline": 20.0,
            "redis_timeout": 20.0,
        }  # fmt: skip
        hits = PathHits(**{**defaults, **settings})
        hits.migrate()
        made.append(hits)
        return hits

    yield build
    for hits in made:
        hits.close(0.1)


@pytest.fixture
def hits(make: Make) -> PathHits:
    hits = make()
    hits.register_item("product", rules=Rules.antispam())
    return hits


# Declared by route.


def flask(hits: PathHits) -> Callable[[str, str], Any]:
    app = Flask("shop")
    app.add_url_rule("/p/<slug>", "product_detail", lambda slug: slug)
    hits.init_app(app)
    hits.register_item("product", route="product_detail", id="slug", rules=Rules.antispam())
    return lambda path, agent: Client(app).get(path, headers=[("User-Agent", agent)], buffered=True).close()


def ask_asgi(app: Any) -> Callable[[str, str], Any]:
    def ask(path: str, agent: str) -> None:
        scope = asking.scope_of(Row(path, ""))
        scope["headers"] = [(b"user-agent", agent.encode())]
        asyncio.run(asking.exchange(app, scope))

    return ask


def starlette(hits: PathHits) -> Callable[[str, str], Any]:
    async def shown(request: Request) -> HTMLResponse:
        return HTMLResponse("a page")

    app = Starlette(routes=[Route("/p/{slug}", shown)])
    app.add_middleware(PathHitsMiddleware, hits=hits)
    hits.register_item("product", route="/p/{slug}", id="slug", rules=Rules.antispam())
    return ask_asgi(app)


def fastapi(hits: PathHits) -> Callable[[str, str], Any]:
    app = FastAPI()

    async def shown(slug: str) -> str:
        return slug

    app.add_api_route("/p/{slug}", shown)
    counted = hits.asgi(app)
    hits.register_item("product", route="/p/{slug}", id="slug", rules=Rules.antispam())
    return ask_asgi(counted)


@pytest.mark.parametrize("framework", [flask, starlette, fastapi])
def test_hits_on_a_declared_route_are_views_under_its_rules(
    framework: Callable[[PathHits], Callable[[str, str], Any]], make: Make, database_url: str
) -> None:
    hits = make(database_url=database_url)
    ask = framework(hits)
    for path, agent in [("/p/50%25:x", BROWSER), ("/p/50%25:x", BROWSER), ("/p/50%25:x", BROWSER + " two"),
                        ("/p/other", BROWSER), ("/p/other", BOT)]:  # fmt: skip
        ask(path, agent)
    assert hits.flush()
    item_id = next(row.item_id for row in hits.top_items("product") if row.item_id != "other")
    counts = hits.view_counts("product", [item_id, "other", "nobody saw"])
    assert counts == {item_id: 2, "other": 1, "nobody saw": 0}
    assert (hits.stored_view_count("product", item_id), hits.pending_view_count("product", item_id)) == (0, 2)
    hits.sync()
    assert (hits.stored_view_count("product", item_id), hits.pending_view_count("product", item_id)) == (2, 0)
    now = datetime.now(UTC)
    window = now - timedelta(hours=2), now + timedelta(hours=1)
    top = [(row.item_id, row.views, row.visitors) for row in hits.top_items("product", *window)]
    assert top == [(item_id, 2, 2), ("other", 1, 1)]
    assert hits.top_items("film") == []
    assert hits.top_items("product", until=window[0]) == []
    assert sum(point.value for point in hits.series("views", *window, item=("product", item_id))) == 2
    found = hits.rule_stats()
    assert found["refusals"] == {"product:bot": 1, "product:cooldown": 1}
    assert found["live_keys"] == {"views": 3, "sessions": 0, "daily_limits": 0}
    assert found["limits"]["product"]["cooldown"] == 120
    assert hits.total("hits") == 4
    assert hits.verify().ok


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse")
def test_django_names_the_item_by_a_keyword_of_the_route(
    redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.integrations import django_site

    django_site.configure()
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import override_settings

    from pathhits.integrations.django import hits as configured

    fresh = type(configured)()
    with override_settings(PATHHITS={"REDIS_URL": redis_url, "DATABASE_URL": sqlite_url, "REQUEST_DEADLINE": 20.0}):
        fresh.migrate()
    monkeypatch.setattr("pathhits.integrations.django.middleware.hits", fresh)
    app = WSGIHandler()
    fresh.register_item("product", route="by_id", id="id", rules=Rules.antispam())
    for path in ("/p/1", "/p/1", "/p/2"):
        Client(app).get(path, headers=[("User-Agent", BROWSER)], buffered=True).close()
    assert fresh.flush()
    assert fresh.view_counts("product", [1, 2]) == {"1": 1, "2": 1}
    fresh.close()


@pytest.mark.parametrize(
    "declaration",
    [{"item_type": "Two Words"}, {"item_type": "product", "route": "r"}, {"item_type": "product", "id": "slug"},
     {"item_type": "product", "route": "taken", "id": "slug"}, {"item_type": "film", "route": "r", "id": "slug"},
     {"item_type": "product", "rules": "strict"}, {"item_type": "product", "route": 1, "id": 2}],
)  # fmt: skip
def test_a_wrong_declaration_stops_the_start(make: Make, declaration: dict[str, Any]) -> None:
    hits = make()
    hits.register_item("film", route="taken", id="slug")
    hits.register_item("film", route="taken", id="slug")
    with pytest.raises(SettingsError):
        hits.register_item(declaration.pop("item_type"), **declaration)


def test_a_route_parameter_without_a_text_costs_its_view_and_nothing_else(make: Make) -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    hits = make()
    hits.register_item("product", route="p", id="slug")
    params = {"slug": Mute()}
    hits.buffer.append(Entry(time.time(), "", "p", "/p/<slug>", "/p/1", "", "203.0.113.7", "", BROWSER, False, params))
    assert hits.flush()
    assert hits.total() == 1


def test_many_items_leave_room_for_labels(make: Make) -> None:
    hits = make(max_labels=2)
    for n in range(4):
        hits.track_view("product", n, **WHO)
    hits.track_hit("/a")
    assert hits.flush()
    assert hits.hit_count("/a") == 1
    assert hits.view_counts("product", [0, 1, "(other)"]) == {"0": 1, "1": 1, "(other)": 2}


def test_items_past_the_cap_count_under_other_and_are_judged_each_by_its_own_rules(make: Make) -> None:
    hits = make(max_labels=1)
    ask = flask(hits)
    for n in (1, 2, 3, 2, 3, 1):
        ask(f"/p/{n}", BROWSER)
    assert hits.flush()
    assert hits.view_counts("product", [1, 2, 3, "(other)"]) == {"1": 1, "2": 0, "3": 0, "(other)": 2}
    assert hits.stats.refusals() == {"product:cooldown": 3}
    hits.sync()
    assert [(row.item_id, row.views) for row in hits.top_items("product")] == [("(other)", 2), ("1", 1)]


# Asked for.


def test_of_fifty_simultaneous_views_of_one_visitor_one_counts(hits: PathHits) -> None:
    hits.track_view("product", "warm", **WHO)
    with ThreadPoolExecutor(50) as pool:
        barrier = threading.Barrier(50)

        def ask(_: int) -> bool:
            barrier.wait()
            return bool(hits.track_view("product", 1, **WHO))

        verdicts = list(pool.map(ask, range(50)))
    assert verdicts.count(True) <= 1
    assert hits.flush()
    assert hits.view_count("product", 1) == 1
    assert hits.stats.refusals() == {"product:cooldown": 49}


PROCESS = """
import sys, threading, time
time.time = lambda: float(sys.argv[2])  # the clock is frozen
from flask import Flask
from pathhits import PathHits, Rules
from tests.faults.writer import BROWSER, request
hits = PathHits(redis_url=sys.argv[1])
site = Flask("shop")
site.add_url_rule("/p/<slug>", "product", lambda slug: slug)
hits.register_item("product", route="product", id="slug", rules=Rules.antispam())
hits.init_app(site)
def ask():
    barrier.wait()
    request(site.wsgi_app, "/p/1", BROWSER, "203.0.113.7", **SERVER)
SERVER = {"wsgi.url_scheme": "http", "SERVER_NAME": "x", "SERVER_PORT": "80"}
barrier = threading.Barrier(200)
threads = [threading.Thread(target=ask) for _ in range(200)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert hits.close(30)
"""


def test_two_processes_of_two_hundred_threads_make_one_view_and_after_two_minutes_another(make: Make) -> None:
    hits = make()
    for views, later in ((1, 0), (2, 121)):
        command = [sys.executable, "-c", PROCESS, hits.settings.redis_url, str(time.time() + later)]
        processes = [subprocess.Popen(command) for _ in range(2)]
        assert [process.wait(120) for process in processes] == [0, 0]
        assert hits.hit_count("product") == 400 * views
        assert hits.view_count("product", 1) == views
        hits.sync()
        assert hits.view_count("product", 1).stored == views
        assert hits.stats.refusals() == {"product:cooldown": 399 * views}


def test_a_view_costs_one_round_trip(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    hits.track_view("product", "warm", **WHO)
    asked: list[Any] = []
    send: Callable[..., Any] = type(hits.redis).execute_command

    def noted(self: Any, *words: Any, **options: Any) -> Any:
        if self is hits.redis:
            asked.append(words[0])
        return send(self, *words, **options)

    monkeypatch.setattr(type(hits.redis), "execute_command", noted)
    assert hits.track_view("product", 1, **WHO)
    assert asked == ["EVALSHA"]


def test_whose_view_it_is_decides(hits: PathHits) -> None:
    assert hits.track_view("product", 1, **WHO)
    assert hits.track_view("product", 1, **WHO).reason == "cooldown"
    assert hits.track_view("product", 1, ip=WHO["ip"], user_agent=BROWSER + " two")
    assert hits.track_view("product", 1, **WHO, user_id=5)
    assert hits.track_view("product", 1, ip="198.51.100.1", user_agent="another", user_id=5).reason == "cooldown"
    assert hits.track_view("product", 1, ip=WHO["ip"], user_agent=BOT).reason == "bot"
    assert hits.track_view("product", 1)  # nobody's
    assert asyncio.run(hits.atrack_view("product", 2, **WHO))
    assert hits.flush()
    assert hits.view_counts("product", [1, 2]) == {"1": 4, "2": 1}
    assert hits.stats.refusals() == {"product:cooldown": 2, "product:bot": 1}


def test_one_who_wants_no_tracking_is_under_the_rules_and_in_no_sketch(hits: PathHits) -> None:
    verdicts: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        verdicts.append(hits.track_view("product", 1))
        return page(environ, start_response)

    for _ in range(2):
        request(hits.wsgi(app), "/", BROWSER, "203.0.113.7", HTTP_SEC_GPC="1")
    assert [verdict.reason for verdict in verdicts] == ["", "cooldown"]
    assert hits.flush()
    assert [(row.views, row.visitors) for row in hits.top_items("product")] == [(1, 0)]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_view_of_nothing_is_refused_as_invalid(hits: PathHits, nothing: object) -> None:
    assert hits.track_view("product", nothing, **WHO).reason == "invalid"
    assert hits.flush()
    assert hits.top_items("product") == []


@pytest.mark.parametrize("wrong", [("Two Words", 1, {}), ("product", 1, {"ip": object(), "user_agent": 5})])
def test_it_never_raises_and_nothing_behind_it_waits(hits: PathHits, wrong: tuple[Any, Any, Any]) -> None:
    item_type, item_id, whose = wrong
    assert not hits.track_view(item_type, item_id, **whose)
    assert hits.track_view("product", 2, **WHO)
    assert hits.flush()
    assert hits.view_count("product", 2) == 1


def test_while_redis_hangs_the_answer_is_in_time_and_the_view_is_judged_later_once(
    own_server: Start, make: Make
) -> None:
    server = own_server(RedisServer)
    hits = make(redis_url=server.url, request_deadline=0.2, redis_timeout=120.0)
    hits.register_item("product", rules=Rules.antispam())
    hits.track_view("product", "warm", **WHO)
    server.pause()
    try:
        started = time.monotonic()
        assert hits.track_view("product", 1, **WHO).reason == "unavailable"
        assert time.monotonic() - started < 60, "it waited for Redis"
    finally:
        server.resume()
    assert hits.flush(20)
    assert {str(key): int(n) for key, n in hits.stats.view_counts("product", [1]).items()} == {"1": 1}


def test_without_redis_the_view_waits_for_it(own_server: Start, make: Make) -> None:
    server = own_server(RedisServer)
    hits = make(redis_url=server.url)
    server.stop()
    assert hits.track_view("product", 1, **WHO).reason == "unavailable"
    server.start()
    assert hits.flush(20)
    assert hits.view_count("product", 1) == 1


def test_a_view_waits_for_its_verdict_whatever_went_wrong(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    hits.register_item("product", rules=Rules.antispam())
    with monkeypatch.context() as patched:
        patched.setattr(hits.court, "judge", lambda view: 1 // 0)
        assert hits.track_view("product", 1, **WHO).reason == "unavailable"
        patched.setattr(threading.Thread, "start", _no_thread)
        assert hits.track_view("product", 2, **WHO).reason == "unavailable"
    assert hits.flush(20)
    assert hits.view_counts("product", [1, 2]) == {"1": 1, "2": 1}
    assert hits.guard.failures.keys() >= {"internal", "a view could not be judged in time"}


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_verdict_whose_reply_was_lost_counts_once(redis_url: str, make: Make) -> None:
    with FaultProxy.to(redis_url) as proxy:
        hits = make(redis_url=proxy.url_for(redis_url))
        hits.register_item("product", rules=Rules.strict())
        hits.track_view("product", "warm", **WHO)
        proxy.arm(Fault.LOSE_REPLY, when=lambda sent: b"EVALSHA" in sent)
        assert hits.track_view("product", 1, **WHO).reason == "unavailable"
        assert proxy.counts[Fault.LOSE_REPLY] == 1
        assert hits.flush(20)
        assert hits.view_count("product", 1) == 1
        assert hits.stats.refusals() == {}


def test_a_batch_of_views_whose_reply_was_lost_counts_once(redis_url: str, make: Make) -> None:
    with FaultProxy.to(redis_url) as proxy:
        hits = make(redis_url=proxy.url_for(redis_url))
        ask = flask(hits)
        ask("/p/0", BROWSER)
        assert hits.flush(20)
        for n in (1, 2, 1):
            ask(f"/p/{n}", BROWSER)
        proxy.arm(Fault.LOSE_REPLY, when=lambda sent: b"EVALSHA" in sent)
        assert hits.flush(20)
        assert hits.buffer.resent == 1
        assert hits.view_counts("product", [1, 2]) == {"1": 1, "2": 1}
        assert hits.stats.refusals() == {"product:cooldown": 1}


@pytest.mark.parametrize("asked_for", [True, False])
def test_views_that_may_have_been_lost_with_their_redis_are_refused_as_uncertain(
    own_server: Start, make: Make, monkeypatch: pytest.MonkeyPatch, asked_for: bool
) -> None:
    server = own_server(RedisServer)
    with FaultProxy.to(server.url) as proxy:
        hits = make(redis_url=proxy.url_for(server.url))
        ask = flask(hits)
        ask("/p/0", BROWSER)
        assert hits.flush(20)
        if asked_for:
            assert hits.track_view("product", 1, **WHO)
        else:
            ask("/p/1", BROWSER)
        proxy.arm(Fault.LOSE_REQUEST, when=lambda sent: b"EVALSHA" in sent)
        assert not hits.flush(0.01)
        server.kill()
        server.start()
        assert hits.flush(30)
        assert hits.view_count("product", 1) == 0
        assert hits.stats.refusals() == {"product:uncertain": 1}


def test_a_sync_that_ends_before_it_settles_counts_once(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hits.track_view("product", 1, **WHO)
    assert hits.flush()
    with monkeypatch.context() as patched:
        patched.setattr(hits.pending, "settle", lambda generation: None)
        hits.sync(force=True)
        count = hits.view_count("product", 1)
        assert (int(count), count.stored, count.pending) == (1, 1, 0)
        assert [row.views for row in hits.top_items("product")] == [1]
    hits.sync(force=True)
    assert hits.view_count("product", 1).stored == 1
    assert not hits.pending.live()
    assert hits.verify().ok
