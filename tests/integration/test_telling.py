"""What an app tells of counts where somebody looks and counting is on; what cannot be is said in words that help."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pathhits import EventError, PathHits, Rules
from tests.faults.test_no_address import asgi_page
from tests.faults.writer import BROWSER, page, request
from tests.unit.integrations import asking
from tests.unit.integrations.tables import Row

Make = Callable[..., PathHits]
WHO: dict[str, Any] = {"ip": "192.0.2.1", "user_agent": BROWSER}


@pytest.fixture
def make(redis_url: str, sqlite_url: str) -> Iterator[Make]:
    made: list[PathHits] = []

    def build(**settings: Any) -> PathHits:
        given: dict[str, Any] = {"redis_url": redis_url, "database_url": sqlite_url, "flush_interval": 3600}
        made.append(PathHits(**given | {"request_deadline": 60.0} | settings))
        made[-1].migrate()
        return made[-1]

    yield build
    for hits in made:
        hits.close(0.1)


@pytest.fixture
def hits(make: Make) -> PathHits:
    hits = make()
    hits.register_item("product", rules=Rules.antispam())
    return hits


def in_a_request(hits: PathHits, tell: Callable[[], Any], method: str = "GET", **headers: str) -> Any:
    """What ``tell`` answers inside of a request of Firefox."""
    answers: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        answers.append(tell())
        return page(environ, start_response)

    request(hits.wsgi(app), "/", BROWSER, "203.0.113.7", REQUEST_METHOD=method, **headers)
    return answers[0]


UNSEEN = [
    ("GET", {"HTTP_SEC_PURPOSE": "prefetch;prerender"}, "prefetch"),
    ("GET", {"HTTP_X_MOZ": "prefetch"}, "prefetch"),
    ("HEAD", {}, "method"),
]


@pytest.mark.parametrize(("method", "headers", "reason"), UNSEEN)
def test_nothing_counts_that_an_app_tells_of_in_a_request_that_nobody_looks_at(
    hits: PathHits, method: str, headers: dict[str, str], reason: str
) -> None:
    told: list[Callable[[], Any]] = [
        lambda: hits.track_view("product", 1),
        lambda: hits.track_view("product", 1, **WHO),
        lambda: asyncio.run(hits.atrack_view("product", 1)),
        lambda: hits.track("product.downloaded", 1, user_id="anna"),
        lambda: hits.track_search("jug", result_count=3),
        lambda: hits.track_recommendations_shown("product", "also_viewed", 4),
    ]
    assert [in_a_request(hits, tell, method, **headers).reason for tell in told] == [reason] * 6
    in_a_request(hits, lambda: hits.track_hit("by hand"), method, **headers)
    assert hits.flush()
    hits.sync(force=True)
    assert (int(hits.view_count("product", 1)), int(hits.counter("product", 1, "downloads"))) == (0, 0)
    assert (hits.popular_searches(), hits.click_rates(), hits.total()) == ([], [], 0)
    assert hits.drops() == {reason: 8}
    assert hits.stats.refusals() == {f"product:{reason}": 4, f"search:{reason}": 1}
    assert in_a_request(hits, lambda: hits.track_view("product", 1)), "the real visit is the first"


@pytest.mark.parametrize(("method", "headers", "reason"), UNSEEN)
def test_nor_in_an_asgi_app(hits: PathHits, method: str, headers: dict[str, str], reason: str) -> None:
    verdicts: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        verdicts.extend((await hits.atrack_view("product", 1), hits.track("product.liked", 1)))
        await asgi_page(scope, receive, send)

    scope = asking.scope_of(Row("/", ""))
    sent = [(name.removeprefix("HTTP_").replace("_", "-").lower().encode(), b"prefetch") for name in headers]
    scope |= {"method": method, "headers": [(b"user-agent", BROWSER.encode()), *sent]}
    asyncio.run(asking.exchange(hits.asgi(app), scope))
    assert [verdict.reason for verdict in verdicts] == [reason] * 2


def test_what_an_app_tells_of_in_a_post_or_outside_of_a_request_counts(hits: PathHits) -> None:
    assert in_a_request(hits, lambda: hits.track("product.liked", 1), "POST")
    assert in_a_request(hits, lambda: hits.track_view("product", 1), "POST")
    assert hits.track_view("product", 1, **WHO)
    assert hits.track_search("jug", result_count=3, **WHO)
    assert hits.flush()
    assert (int(hits.view_count("product", 1)), int(hits.counter("product", 1, "likes"))) == (2, 1)


def test_nothing_counts_where_counting_is_off(make: Make) -> None:
    hits = make(enabled=False)
    verdicts = [
        hits.track_view("product", 1, **WHO),
        hits.track("product.liked", 1, **WHO),
        hits.track_search("jug", result_count=3, **WHO),
        hits.track_recommendations_shown("product", "also_viewed", 4, **WHO),
    ]
    hits.track_hit("by hand")
    assert [verdict.reason for verdict in verdicts] == ["disabled"] * 4
    assert hits.flush()
    assert hits.buffer._thread is None
    assert hits.redis.dbsize() == 0
    with pytest.raises(EventError):
        hits.track("product.nonsense", 1)


def test_a_type_that_cannot_be_is_said_in_its_own_words(hits: PathHits, caplog: pytest.LogCaptureFixture) -> None:
    assert hits.track_view("Two Words", 1, **WHO).reason == "invalid"
    counts = [hits.view_count("Two Words", 1), hits.counter("Two Words", 1, "likes")]
    assert [(int(count), count.partial) for count in counts] == [(0, True)] * 2
    assert hits.item_stats("Two Words", 1).partial
    assert hits.hot_items("Two Words") == []
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all("item type 'Two Words': give a word of at most 24 characters" in line for line in said)
    assert "internal" not in hits.guard.failures


def test_a_type_that_was_not_registered_is_said_once_where_others_were(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    hits = make()
    assert hits.track_view("story", 1, **WHO)
    assert not caplog.records
    hits.register_item("product")
    hits.register_item("brand")
    for _ in range(2):
        assert hits.track_view("prodcut", 1, **WHO)
    assert hits.track_view("brand", 1, **WHO)
    [said] = [record.getMessage() for record in caplog.records]
    assert said == "track_view('prodcut'): this type is not registered and has no rules; there are brand, product"
