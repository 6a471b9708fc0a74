"""`pathhits.testing`: users' tests count in memory, by the code that counts in production, and touch no server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, Response, render_template_string

from pathhits import PathHits, Rules, Settings, SettingsError
from pathhits.core.statuses import REASONS
from pathhits.middleware.asgi import Message, Receive, Scope, Send
from pathhits.stats import Visits
from pathhits.testing import Clock, assert_counted, assert_dropped, counting
from tests.faults.writer import BROWSER, page, request

NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever counting in memory does, it asks no server."""

    def refuse(*args: object) -> None:
        raise AssertionError(f"a connection was made: {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def hits(tmp_path: Any) -> Iterator[PathHits]:
    found = PathHits(Settings(database_url=f"sqlite:///{tmp_path}/never.db", trusted_proxies=1))
    yield found
    assert not (tmp_path / "never.db").exists(), "SQL was touched"


@pytest.fixture
def app(hits: PathHits) -> Flask:
    found = Flask(__name__)

    @found.get("/")
    def home() -> str:
        return render_template_string("{{ count }}", count=hits.hit_count("home"))

    @found.get("/products/<int:number>")
    def product(number: int) -> Response:
        return Response(f"product {number}")

    hits.init_app(found)
    return found


def test_hits_of_a_flask_app_are_counted_under_their_labels(app: Flask) -> None:
    with counting(app) as counted:
        for path in ("/", "/products/1", "/products/2"):
            app.test_client().get(path)
        assert counted.labels() == {"home": 1, "product": 2}
        assert counted.hits("product") == 2
        assert counted.hits() == counted.requests() == 3
        assert counted.hits("nobody was here") == 0


def test_drops_are_counted_by_reason(app: Flask) -> None:
    with counting(app) as counted:
        client = app.test_client()
        client.get("/nowhere")
        client.post("/")
        client.get("/", headers={"User-Agent": "Googlebot/2.1"})
        assert counted.drops() == {"status": 1, "method": 1, "bot": 1}
        assert counted.hits() == 0
        assert counted.requests() == 3


def test_visitors_are_told_apart_as_in_production(app: Flask) -> None:
    with counting(app) as counted:
        client = app.test_client()
        for address in ("203.0.113.1", "203.0.113.2", "203.0.113.2"):
            client.get("/", headers={"X-Forwarded-For": f"198.51.100.7, {address}", "User-Agent": FIREFOX})
        client.get("/", headers={"X-Forwarded-For": "203.0.113.9", "User-Agent": FIREFOX, "Sec-GPC": "1"})
        client.get("/products/1", headers={"X-Forwarded-For": "203.0.113.1", "User-Agent": FIREFOX})
        assert counted.hits("home") == 4
        assert counted.visitors() == counted.visitors("home") == 2
        assert counted.visitors("product") == 1


def test_reads_answer_from_memory(app: Flask, hits: PathHits) -> None:
    with counting(app):
        client = app.test_client()
        client.get("/", headers={"User-Agent": FIREFOX})
        assert client.get("/").text == "1"
        client.get("/products/1")
        count = hits.hit_count("home")
        assert (count, count.stored, count.pending, count.partial) == (2, 0, 2, False)
        assert [(row.path, row.hits) for row in hits.top_paths()] == [("home", 2), ("product", 1)]
        assert hits.drops() == {}
        assert hits.total("requests") == 3


def test_a_sync_finds_nothing_to_move_and_the_counts_stay(hits: PathHits) -> None:
    with counting(hits) as counted:
        hits.track_hit("here")
        assert counted.hits("here") == 1
        assert hits.sync().batches == 0
        assert hits.sync(force=True).errors == 0
        assert counted.hits("here") == 1


def test_the_clock_can_be_frozen_and_moved(hits: PathHits) -> None:
    with counting(hits, at=NOON) as counted:
        hits.track_hit("here")
        counted.clock.advance(timedelta(hours=1))
        hits.track_hit("here")
        counted.clock.freeze(NOON + timedelta(days=40))
        hits.track_hit("here")
        assert counted.hits("here") == 3
        points = hits.series("hits", NOON, NOON + timedelta(hours=3), by="hour", label="here")
        assert [(point.start.hour, point.value) for point in points if point.value] == [(12, 1), (13, 1)]


def test_visitors_of_a_frozen_day_long_ago_are_read_too(app: Flask, hits: PathHits) -> None:
    with counting(app, at=datetime(2020, 2, 29, 23, 0, tzinfo=UTC)) as counted:
        app.test_client().get("/")
        counted.clock.advance(timedelta(hours=2))
        app.test_client().get("/")
        assert counted.visitors("home") == 2
        (row,) = hits.top_paths(since=datetime(2020, 2, 29, tzinfo=UTC), until=datetime(2020, 3, 1, tzinfo=UTC))
        assert (row.path, row.hits, row.visitors) == ("home", 1, 1)


def test_a_clock_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="aware"):
        Clock(datetime(2026, 11, 20))  # noqa: DTZ001  # the mistake that is meant


def test_an_unfrozen_clock_is_the_real_one() -> None:
    before = datetime.now(UTC)
    assert before <= Clock().now <= datetime.now(UTC)


def test_counting_without_an_app_brings_a_pathhits() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"x"]

    with counting() as counted:
        wrapped = counted.pathhits.wsgi(app)
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/products/7", "HTTP_USER_AGENT": FIREFOX}
        assert list(wrapped(environ, lambda status, headers, error=None: lambda data: None)) == [b"x"]
        assert_counted(counted, "/products/{int}")


def test_an_asgi_app_is_counted_too(hits: PathHits) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/a", "headers": [(b"user-agent", FIREFOX.encode())]}
    with counting(hits):
        asyncio.run(hits.asgi(app)(scope, receive, send))  # type: ignore[arg-type]
        assert_counted(hits, "/a")


def test_each_block_begins_at_nothing_and_ends_where_it_began(app: Flask, hits: PathHits) -> None:
    parts = ("buffer", "pending", "stats", "court", "viewing", "_last_counts", "_deadline")
    with counting(app):
        app.test_client().get("/")
        assert_counted(hits, "home")
    before = {name: vars(hits).get(name) for name in parts}
    with counting(app) as outer:
        with counting(app) as inner:
            app.test_client().get("/")
            assert inner.hits("home") == 1
        assert outer.hits("home") == 0
        app.test_client().get("/products/1")
        assert outer.labels() == {"product": 1}
        assert_counted(hits, "product")
    assert {name: vars(hits).get(name) for name in parts} == before
    assert hits.buffer.waiting == 0, "nothing of a test is left to be sent"


def test_no_thread_is_left_running(hits: PathHits) -> None:
    before = set(threading.enumerate())  # tests that ran before may have left some of their own
    with counting(hits) as counted:
        hits.track_hit("here")
        assert counted.hits() == 1
    assert not set(threading.enumerate()) - before


def test_clear_forgets(hits: PathHits) -> None:
    with counting(hits) as counted:
        hits.track_hit("here")
        counted.clear()
        hits.track_hit("there")
        assert counted.labels() == {"there": 1}


def test_assert_counted_says_what_was_counted_instead(app: Flask, hits: PathHits) -> None:
    with counting(app):
        app.test_client().get("/")
        app.test_client().get("/", headers={"User-Agent": ""})
        assert_counted(hits, "home", times=1)
        assert_counted(hits, "product", times=0)
        with pytest.raises(AssertionError) as failed:
            assert_counted(hits, "product")
    assert str(failed.value) == (
        "'product' was counted 0 times, not 1: hits: 'home' 1; "
        "drops: bot 1 (The user agent was a crawler, an HTTP library or empty.)"
    )


def test_assert_dropped_knows_the_reasons(app: Flask, hits: PathHits) -> None:
    with counting(app):
        app.test_client().post("/")
        assert_dropped(hits, "method")
        for reason in REASONS.keys() - {"method"}:
            assert_dropped(hits, reason, times=0)
        with pytest.raises(AssertionError, match="1 requests were dropped for 'method', not 2"):
            assert_dropped(hits, "method", times=2)
        with pytest.raises(ValueError, match="'metod' is no reason"):
            assert_dropped(hits, "metod")


def test_asserting_outside_of_a_block_says_so(hits: PathHits) -> None:
    with counting(hits):
        pass
    with pytest.raises(SettingsError, match="with counting"):
        assert_counted(hits, "home", times=0)


def test_an_app_without_pathhits_and_a_disabled_one_are_refused() -> None:
    with pytest.raises(SettingsError, match="Flask has no PathHits"):
        with counting(Flask(__name__)):
            pass
    with pytest.raises(SettingsError, match="enable pathhits"):
        with counting(PathHits(Settings(enabled=False))):
            pass


def test_a_bug_in_counting_fails_the_test_instead_of_hiding(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathhits.testing.PATIENCE", 0.2)
    with counting(hits) as counted:

        def broken(*args: object) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(hits.buffer, "_send", broken)
        hits.track_hit("here")
        with pytest.raises(Exception, match="could not be counted"):
            counted.hits()


# --- views of items ---


@pytest.fixture
def shop(app: Flask, hits: PathHits) -> Flask:
    """The app, with its products declared to be items."""
    hits.register_item("product", route="product", id="number", rules=Rules.antispam())
    return app


def test_a_hit_on_the_route_of_an_item_is_a_view_and_a_reload_within_two_minutes_is_not(
    shop: Flask, hits: PathHits
) -> None:
    with counting(shop, at=NOON) as counted:
        client = shop.test_client()
        client.get("/products/1")
        counted.clock.advance(timedelta(seconds=119))
        client.get("/products/1")
        client.get("/products/2")
        assert (counted.views("product", 1), counted.views("product", "2")) == (1, 1)
        assert counted.refusals() == {"product:cooldown": 1}
        assert counted.hits("product") == 3, "a refused view is a hit all the same"
        counted.clock.advance(timedelta(seconds=1))
        client.get("/products/1")
        assert counted.views("product", 1) == 2


def test_bots_and_errors_are_no_views(shop: Flask) -> None:
    with counting(shop) as counted:
        client = shop.test_client()
        client.get("/products/1", headers={"User-Agent": "Googlebot/2.1"})
        client.get("/products/none")
        client.post("/products/1")
        assert counted.views("product", 1) == 0
        assert counted.refusals() == {"product:bot": 1}


def test_track_view_answers_with_a_verdict_from_memory(hits: PathHits) -> None:
    hits.register_item("story", rules=Rules(cooldown=60))
    with counting(hits, at=NOON) as counted:
        ann, bob = ({"ip": f"203.0.113.{n}", "user_agent": FIREFOX} for n in (1, 2))
        assert hits.track_view("story", 7, **ann)
        again = hits.track_view("story", 7, **ann)
        assert (bool(again), again.reason) == (False, "cooldown")
        assert hits.track_view("story", 7, **bob)
        assert hits.track_view("story", 7, **bob, user_id=1), "a user is not the visitor"
        assert hits.track_view("story", 7, **ann, user_id=1).reason == "cooldown", "a user is the same elsewhere"
        assert hits.track_view("story", 7, ip="203.0.113.9", user_agent="curl/8").reason == "bot"
        counted.clock.advance(timedelta(minutes=1))
        assert hits.track_view("story", 7, **ann)
        assert counted.views("story", 7) == 4
        assert counted.refusals() == {"story:cooldown": 2, "story:bot": 1}
        assert counted.hits() == 0, "track_view counts no hit"


def test_strict_rules_hold_over_midnight(hits: PathHits) -> None:
    hits.register_item("story", rules=Rules.strict())
    who = {"ip": "203.0.113.1", "user_agent": FIREFOX}
    with counting(hits, at=datetime(2026, 11, 20, 23, 58, tzinfo=UTC)) as counted:
        said = []
        for minutes in (0, 4, 2, 24 * 60):
            counted.clock.advance(timedelta(minutes=minutes))
            said.append(hits.track_view("story", 7, **who).reason)
        assert said == ["", "cooldown", "", ""]
        counted.clock.advance(timedelta(minutes=10))
        assert hits.track_view("story", 7, **who).reason == "already_today"


def test_a_view_inside_of_a_request_is_that_visitors(app: Flask, hits: PathHits) -> None:
    hits.register_item("story", rules=Rules.antispam())

    @app.get("/read")
    def read() -> str:
        return hits.track_view("story", "a").reason or "counted"

    with counting(app) as counted:
        client = app.test_client()
        assert client.get("/read").text == "counted"
        assert client.get("/read").text == "cooldown"
        assert client.get("/read", headers={"User-Agent": FIREFOX}).text == "counted"
        assert counted.views("story", "a") == 2


def test_reads_of_items_answer_from_memory(shop: Flask, hits: PathHits) -> None:
    with counting(shop):
        client = shop.test_client()
        client.get("/products/1")
        client.get("/products/1")
        client.get("/products/2", headers={"User-Agent": FIREFOX})
        client.get("/products/1", headers={"User-Agent": FIREFOX})
        count = hits.view_count("product", 1)
        assert (count, count.stored, count.pending, count.partial) == (2, 0, 2, False)
        assert hits.view_counts("product", [1, 2, 3]) == {"1": 2, "2": 1, "3": 0}
        found = [(row.item_id, row.views, row.visitors) for row in hits.top_items("product")]
        assert found == [("1", 2, 2), ("2", 1, 1)]
        stats = hits.rule_stats()
        assert stats["limits"]["product"]["cooldown"] == 120
        assert stats["live_keys"] == {"views": 3, "sessions": 0, "daily_limits": 0}
        assert stats["refusals"] == {"product:cooldown": 1}


def test_clear_forgets_who_has_viewed_what(hits: PathHits) -> None:
    hits.register_item("story", rules=Rules.antispam())
    with counting(hits) as counted:
        for _ in range(2):
            assert hits.track_view("story", 7, ip="203.0.113.1", user_agent=FIREFOX)
            assert counted.views("story", 7) == 1
            counted.clear()
            assert counted.views("story", 7) == 0


def test_visits_are_counted_in_memory_on_the_frozen_clock() -> None:
    with counting(at=datetime(2026, 11, 20, 23, 50, tzinfo=UTC)) as counted:
        hits = counted.pathhits
        app = hits.wsgi(page)
        for minutes in (0, 20, 40):
            counted.clock.advance(timedelta(minutes=minutes))
            request(app, "/", BROWSER, "192.0.2.1")
            counted.settle()
        assert hits.visits() == Visits(2, 1, 1200)
        assert hits.active_visitors() == 1
        counted.clock.advance(timedelta(minutes=6))
        assert hits.active_visitors() == 0


def test_events_are_counted_in_memory(app: Flask) -> None:
    hits: PathHits = app.extensions["pathhits"]
    with counting(hits, at=datetime(2026, 11, 20, 12, tzinfo=UTC)) as counted:
        for _ in range(2):
            hits.track("movie.liked", 7, key="once")
        hits.track("movie.downloaded", 7, value=3, properties={"size": 5})
        assert (counted.counter("movie", 7, "likes"), counted.counter("movie", 7, "downloads")) == (1, 3)
        assert hits.counter("movie", 7, "downloads") == 3
        (event,) = counted.events("movie.downloaded")
        assert (event.item_type, event.item_id, event.properties) == ("movie", "7", {"size": 5, "value": 3})
        assert event.moment == counted.clock.now
        counted.clear()
        assert counted.events() == []


def test_the_cache_is_in_memory_until_the_block_ends(hits: PathHits) -> None:
    made: list[str] = []

    def get(name: str, *groups: str) -> Any:
        def make() -> tuple[int, int]:
            made.append(name)
            return 1, 2

        return hits.cache.get_or_make(name, make, 60, groups)

    with counting(hits, at=NOON) as counted:
        assert [get("a", "g"), get("a", "g"), get("b")] == [[1, 2]] * 3
        assert hits.cache.delete(groups=["g"])
        get("a", "g")
        get("b")
        counted.clock.advance(timedelta(seconds=61))
        get("b")
    with counting(hits):
        get("b")
    assert made == ["a", "b", "a", "b", "b"]


def test_the_dashboard_is_computed_from_memory(hits: PathHits) -> None:
    with counting(hits):
        hits.track_hit("home")
        hits.track_view("product", 7)
        hits.refresh_snapshot()
        found = hits.snapshot()
    assert (found.source, found.parts["totals"]["hits"]) == ("live", 1)
    assert found.parts["items"]["product"]["top"][0]["item_id"] == "7"
