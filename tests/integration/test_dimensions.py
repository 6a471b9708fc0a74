"""Values of hits are counted with their labels: each question equals a plain list of hits, stored, pending or both."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from pathhits import PathHits
from pathhits.capture.recorder import Entry
from pathhits.core.agents import read_agent
from pathhits.settings import DIMENSIONS
from pathhits.valuestats import ValueRow
from tests.faults.writer import BROWSER
from tests.servers.redis import RedisServer

Start = Callable[[Callable[[], RedisServer]], RedisServer]
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
AGENTS = (BROWSER, PHONE, WINDOWS)
#: What a hit says, and the values that are counted of it.
REFERRERS = {
    "": "(direct)",
    "https://www.example.org/a?b": "example.org",
    "http://shop.test/cart": "(internal)",
    "http://192.0.2.1/": "(unknown)",
}
LANGUAGES = {"de-AT,de;q=0.9,en;q=0.5": "de", "en": "en", "": "(unknown)"}
QUERIES = {
    "": ("", "", ""),
    "q=1": ("", "", ""),
    "utm_source=mail&utm_campaign=Spring%20%26%20more": ("mail", "", "Spring & more"),
}
#: 2026-11-18 00:00 UTC.
FIRST = datetime(2026, 11, 18, tzinfo=UTC)


class Made(NamedTuple):
    """One hit, and its values by dimension."""

    label: str
    moment: datetime
    values: dict[str, str]


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, redis_timeout=10.0, flush_interval=3600)
    hits.migrate()
    yield hits
    hits.close(0.1)


def visit(hits: PathHits, rng: random.Random, number: int = 200) -> list[Made]:
    """So many hits of three days, as the middleware would note them, and what they were."""
    made = []
    for _ in range(number):
        moment = FIRST + timedelta(hours=rng.randrange(72))
        label, agent = rng.choice(["/", "/a", "/b"]), rng.choice(AGENTS)
        referrer, query, spoken = (rng.choice(list(some)) for some in (REFERRERS, QUERIES, LANGUAGES))
        entry = Entry(moment.timestamp(), "", label, None, None, "", "192.0.2.7", "", agent, False, referrer=referrer)
        hits.buffer.append(entry._replace(host="www.shop.test:8000", query=query, languages=spoken))
        said = read_agent(agent)
        values = dict(zip(("utm_source", "utm_medium", "utm_campaign"), QUERIES[query], strict=True))
        values |= said._asdict() | {"referrer": REFERRERS[referrer], "language": LANGUAGES[spoken]}
        made.append(Made(label, moment, {name: value for name, value in values.items() if value}))
    assert hits.flush(20.0)
    return made


def top(made: list[Made], dimension: str, label: str | None = None, day: int | None = None) -> list[ValueRow]:
    """What `PathHits.top_values` should say."""
    found = Counter(
        one.values[dimension]
        for one in made
        if dimension in one.values and label in (None, one.label) and day in (None, (one.moment - FIRST).days)
    )
    return [ValueRow(value, n) for value, n in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))]


def check(hits: PathHits, made: list[Made]) -> None:
    """Ask everything."""
    for dimension in DIMENSIONS:
        assert hits.top_values(dimension, limit=100) == top(made, dimension)
        for label in ("/", "/a", "/nobody"):
            assert hits.top_values(dimension, limit=100, label=label) == top(made, dimension, label)
        for day in range(3):
            since = FIRST + timedelta(days=day)
            found = hits.top_values(dimension, since, since + timedelta(days=1), 100)
            assert found == top(made, dimension, day=day)
            of_label = hits.top_values(dimension, since, since + timedelta(days=1), 100, "/b")
            assert of_label == top(made, dimension, "/b", day)
        for value in {one.values[dimension] for one in made if dimension in one.values}:
            check_value(hits, made, dimension, value)


def check_value(hits: PathHits, made: list[Made], dimension: str, value: str) -> None:
    having = [one for one in made if one.values.get(dimension) == value]
    paths = sorted(Counter(one.label for one in having).items(), key=lambda pair: (-pair[1], pair[0]))
    assert [(row.path, row.hits) for row in hits.top_paths(where=(dimension, value))] == paths
    for label in (None, "/a"):
        points = hits.series("hits", FIRST, FIRST + timedelta(days=3), "day", label=label, where=(dimension, value))
        days = Counter((one.moment - FIRST).days for one in having if label in (None, one.label))
        assert [point.value for point in points] == [days[day] for day in range(3)]


def test_every_answer_is_that_of_a_plain_list_pending_stored_and_both(hits: PathHits) -> None:
    rng = random.Random(7)
    made = visit(hits, rng)
    check(hits, made)
    hits.sync()
    check(hits, made)
    made += visit(hits, rng)
    check(hits, made)
    hits.sync(force=True)
    check(hits, made)
    assert hits.verify().ok
    assert hits.total() == len(made)


def test_a_sync_between_the_two_reads_makes_neither_a_dip_nor_a_double(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(1)
    made = visit(hits, rng, 30)
    hits.sync()
    made += visit(hits, rng, 30)
    stored = hits.reads._stored

    def sync_first(*args: object) -> object:
        monkeypatch.undo()
        hits.sync()
        return stored(*args)  # type: ignore[arg-type]  # passed on as they came

    ask: list[Callable[[], object]] = [
        lambda: hits.top_values("browser"),
        lambda: hits.top_values("browser", label="/a"),
        lambda: hits.top_paths(where=("device", "mobile")),
        lambda: hits.series("hits", FIRST, FIRST + timedelta(days=3), "day", where=("language", "de")),
    ]
    for question in ask:
        made += visit(hits, rng, 10)
        before = question()
        monkeypatch.setattr(hits.reads, "_stored", sync_first)
        assert question() == before
        assert hits.pending.live() == [], "no sync came between"
        assert question() == before
    check(hits, made)
