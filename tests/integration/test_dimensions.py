"""Values of hits are counted with their labels: each question equals a plain list of hits, stored, pending or both."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import select, text

from pathhits import PathHits
from pathhits.capture import accumulator as accumulating
from pathhits.capture.recorder import Entry
from pathhits.core.agents import read_agent
from pathhits.core.dimensions import Trait
from pathhits.hits import HITS, REQUESTS, Batch, Delta
from pathhits.settings import DIMENSIONS
from pathhits.storage.sql import tables
from pathhits.storage.sql.retention import Retention
from pathhits.testing import counting
from pathhits.valuestats import ValueReads, ValueRow
from tests.faults.writer import BROWSER, page, request
from tests.servers.processes import free_port

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


def test_a_label_with_very_many_values_is_exact(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulating, "TRAITS_A_DELTA", 5)
    rng = random.Random(3)
    made = visit(hits, rng, 300)
    check(hits, made)
    hits.sync()
    check(hits, made)
    assert hits.verify().ok


def test_values_can_be_searched_and_paged_through(hits: PathHits) -> None:
    for half in range(2):
        for n in range(30):
            for _ in range(30 - n):
                put(hits, "/", Trait("referrer", f"Site{n:02}.example"))
        if not half:
            hits.sync()
    names = [f"Site{n:02}.example" for n in range(30)]
    assert [row.value for row in hits.top_values("referrer", limit=7)] == names[:7]
    assert [row.value for row in hits.top_values("referrer", limit=7, offset=7)] == names[7:14]
    assert [(row.value, row.hits) for row in hits.top_values("referrer", search="TE07.", limit=5)] == [
        ("Site07.example", 46)
    ]
    assert hits.top_values("referrer", search="%") == []
    assert hits.top_values("referrer", limit=0) == []
    assert [row.path for row in hits.value_reads.top_paths(("referrer", names[0]), search="/")] == ["/"]
    assert hits.value_reads.top_paths(("referrer", names[0]), search="nothing") == []


_sequences = iter(range(1, 10**9))


def put(hits: PathHits, label: str, *traits: Trait, hour: int | None = None) -> None:
    """One hit with these traits, in Redis."""
    hour = int(time.time() // 3_600) if hour is None else hour
    deltas = {Delta(hour, HITS, label): 1, Delta(hour, REQUESTS, ""): 1} | {t.delta(hour, label): 1 for t in traits}
    number = next(_sequences)
    assert hits.pending.add(Batch("test", number, f"g{number}", deltas, {}), "").rejected == ()


@pytest.mark.parametrize(
    ("since", "until", "now", "days"),
    [
        # Days of Berlin, whose midnight is at 23:00 UTC the day before.
        ("2026-11-17T23:00", "2026-11-18T23:00", "2026-12-01T00:00", [18]),
        ("2026-11-17T23:00", "2026-11-20T23:00", "2026-12-01T00:00", [18, 19, 20]),
        # A day of Los Angeles.
        ("2026-11-18T08:00", "2026-11-19T08:00", "2026-12-01T00:00", [18]),
        # Today so far, in the morning: the present day is in it.
        ("2026-11-19T23:00", "2026-11-20T07:30", "2026-11-20T07:31", [20]),
        ("2026-11-17T23:00", "2026-11-20T07:30", "2026-11-20T07:31", [18, 19, 20]),
        # The same of a morning that is over.
        ("2026-11-17T23:00", "2026-11-20T07:30", "2026-11-22T00:00", [18, 19]),
        # Some hours, with noon among them or not.
        ("2026-11-18T11:00", "2026-11-18T13:00", "2026-12-01T00:00", [18]),
        ("2026-11-18T14:00", "2026-11-18T16:00", "2026-12-01T00:00", [18]),
        ("2026-11-18T22:00", "2026-11-19T02:00", "2026-12-01T00:00", [19]),
        ("2026-11-18T12:00", "2026-11-18T12:00", "2026-12-01T00:00", []),
        (None, "2026-11-19T00:00", "2026-12-01T00:00", [17, 18]),
        ("2026-11-19T00:00", None, "2026-12-01T00:00", [19, 20]),
        # Since an hour ago, in the afternoon.
        ("2026-11-20T14:30", None, "2026-11-20T15:30", [20]),
    ],
)
def test_a_period_takes_whole_utc_days(
    redis_url: str, sqlite_url: str, since: str | None, until: str | None, now: str, days: list[int]
) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url)
    hits.migrate()
    for day in (17, 18, 19, 20):
        noon = int(datetime(2026, 11, day, 23, tzinfo=UTC).timestamp()) // 3_600
        put(hits, f"/{day}", Trait("language", f"d{day}"), Trait("country", "DE"), hour=noon)
        if day % 2:
            hits.sync()
    start, end, clock = (None if one is None else datetime.fromisoformat(one + "Z") for one in (since, until, now))
    assert clock is not None
    reads = ValueReads(hits.pending, hits.reads, redis_url, clock.timestamp)
    assert sorted(row.value for row in reads.top_values("language", start, end)) == [f"d{day}" for day in days]
    assert sorted(row.path for row in reads.top_paths(("country", "DE"), start, end)) == [f"/{day}" for day in days]
    if start and end:
        for tz in ("UTC", "Europe/Berlin"):
            points = reads.series(("country", "DE"), start, end, "day", tz)
            assert sum(point.value for point in points) == len(days)
    hits.close()


def test_a_series_by_value_is_by_days_of_a_zone(redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url)
    hits.migrate()
    late = int(datetime(2026, 11, 18, 23, 30, tzinfo=UTC).timestamp()) // 3_600
    put(hits, "/", Trait("language", "de"), hour=late)
    since, until = datetime(2026, 11, 17, 23, tzinfo=UTC), datetime(2026, 11, 19, 23, tzinfo=UTC)
    points = hits.series("hits", since, until, "day", "Europe/Berlin", where=("language", "de"))
    assert [(point.start.isoformat(), point.value) for point in points] == [
        ("2026-11-18T00:00:00+01:00", 1),  # the UTC day of the hit: what values are counted by
        ("2026-11-19T00:00:00+01:00", 0),
    ]
    with pytest.raises(ValueError, match="values are counted by day"):
        hits.series("hits", since, until, where=("language", "de"))
    with pytest.raises(ValueError, match="only hits are counted"):
        hits.series("visitors", since, until, "day", where=("language", "de"))
    with pytest.raises(ValueError, match="'colour' is no dimension"):
        hits.top_paths(where=("colour", "blue"))
    with pytest.raises(ValueError, match="'colour' is no dimension"):
        hits.top_values("colour")
    hits.close()


def test_what_the_middleware_notes_is_counted(hits: PathHits) -> None:
    app = hits.wsgi(page)
    headers = {
        "HTTP_HOST": "shop.test",
        "HTTP_REFERER": "https://www.example.org/secret?q=1",
        "HTTP_ACCEPT_LANGUAGE": "de-AT,de;q=0.9",
        "QUERY_STRING": "token=hidden&utm_source=mail",
    }
    request(app, "/a", PHONE, "192.0.2.7", **headers)
    request(app, "/a", PHONE, "192.0.2.7", **headers | {"HTTP_SEC_GPC": "1"})
    request(app, "/a", "Googlebot/2.1", "192.0.2.7", **headers)
    hits.track_hit("/a")
    assert hits.flush(20.0)
    for _ in range(2):
        assert hits.top_values("referrer") == [ValueRow("(unknown)", 2), ValueRow("example.org", 1)]
        assert hits.top_values("utm_source") == [ValueRow("mail", 1)]
        assert hits.top_values("browser") == [ValueRow("(unknown)", 2), ValueRow("Safari", 1)]
        assert hits.top_values("device") == [ValueRow("(unknown)", 2), ValueRow("mobile", 1)]
        assert hits.top_values("language") == [ValueRow("(unknown)", 2), ValueRow("de", 1)]
        assert hits.top_values("country") == []
        hits.sync()
    with hits.engine.connect() as connection:
        kept = " ".join(str(row) for row in connection.execute(select(tables.values)))
    assert not [word for word in ("secret", "hidden", "192.0.2.7", "Mozilla") if word in kept]


def test_while_redis_is_away_values_take_the_detour_into_sql(database_url: str) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    hits = PathHits(redis_url=url, database_url=database_url, fallback_after=0.01, flush_interval=3600)
    hits.migrate()
    app = hits.wsgi(page)
    for _ in range(3):
        request(app, "/a", BROWSER, "192.0.2.7")
    assert hits.close()
    with hits.engine.connect() as connection:
        v, days = tables.values.c, tables.path_value_days
        query = select(v.dimension, v.value, days.c.hits).join_from(tables.values, days, v.id == days.c.value_id)
        found = {row.dimension: (row.value, row.hits) for row in connection.execute(query)}
    assert found == {
        "referrer": ("(direct)", 3),
        "browser": ("Firefox", 3),
        "system": ("Linux", 3),
        "device": ("desktop", 3),
        "language": ("(unknown)", 3),
    }
    assert hits.verify().ok


def test_tests_of_apps_see_values_too() -> None:
    hits = PathHits()
    with counting(hits, at=FIRST) as counted:
        request(hits.wsgi(page), "/a", BROWSER, "192.0.2.7")
        request(hits.wsgi(page), "/b", PHONE, "192.0.2.7")
        assert counted.values("browser") == {"Firefox": 1, "Safari": 1}
        assert counted.values("browser", "/b") == {"Safari": 1}
        assert [row.path for row in hits.top_paths(where=("browser", "Safari"))] == ["/b"]
        counted.clear()
        assert counted.values("browser") == {}


def test_values_that_make_no_sense_stand_aside_and_the_rest_lands(hits: PathHits) -> None:
    put(hits, "/", Trait("language", "de"))
    [generation] = hits.pending.live()
    key, hour = hits.keys.generation_traits(generation), int(time.time() // 3_600)
    hits.redis.hset(key, f"{hour}:colour:/\x1fblue", 1)
    hits.redis.hset(key, f"{hour}:language:/\x1fen", "many")
    hits.redis.hset(key, f"{hour}:language:/nobody\x1ffr", 4)
    assert hits.top_values("language") == [ValueRow("fr", 4), ValueRow("de", 1)]
    report = hits.sync()
    assert (report.hits, report.errors) == (1, 2)
    # Values without hits have no path to be of.
    assert hits.top_values("language") == [ValueRow("de", 1)]
    assert hits.verify().ok


def test_verify_finds_values_that_do_not_add_up(hits: PathHits) -> None:
    def broken() -> list[str]:
        return [check.name for check in hits.verify().checks if not check.holds]

    put(hits, "/", Trait("language", "de"))
    hits.sync()
    assert broken() == []
    by_day, of_paths = "values by day = values", "values of paths = values of the site since then"
    changes = {
        "UPDATE pathhits_values SET hit_count = hit_count + 1": [by_day],
        "UPDATE pathhits_value_days SET hits = hits + 1": [by_day, of_paths],
        "UPDATE pathhits_path_value_days SET hits = hits + 1": [
            of_paths,
            "paths and days with more values than hits = none",
        ],
    }
    for statement, expected in changes.items():
        execute(hits, statement)
        assert broken() == expected, statement
        execute(hits, statement.replace("+", "-"))
    assert broken() == []


def execute(hits: PathHits, statement: str) -> None:
    with hits.engine.begin() as connection:
        connection.execute(text(statement))


def test_old_values_of_labels_are_pruned_and_those_of_the_site_stay(hits: PathHits) -> None:
    today = int(time.time() // 86_400)
    for ago in (0, 399, 400, 401, 800):
        put(hits, "/", Trait("language", "de"), hour=(today - ago) * 24)
    hits.sync()
    now = datetime.fromtimestamp(today * 86_400 + 3_600, UTC)
    assert hits.prune(now).values == 2
    assert hits.prune(now).values == 0
    assert hits.top_values("language", label="/") == [ValueRow("de", 3)]
    assert hits.top_values("language") == [ValueRow("de", 5)]
    assert hits.verify().ok
    assert hits.total() == 5


def test_verify_holds_while_values_are_being_pruned(redis_url: str, database_url: str) -> None:
    hits, today = (
        PathHits(redis_url=redis_url, database_url=database_url, retention_values=2),
        int(time.time() // 86_400),
    )
    hits.migrate()
    for ago in range(6):
        for value in ("de", "en", "fr"):
            put(hits, "/", Trait("language", value), hour=(today - ago) * 24)
    hits.sync()
    retention, steps = Retention(hits.engine), 0
    while retention.prune_values(today - 2, 2):
        assert hits.verify().ok
        steps += 1
    assert steps == 5
    assert hits.top_values("language", label="/") == [ValueRow(value, 3) for value in ("de", "en", "fr")]
    for_ever = PathHits(redis_url=redis_url, database_url=database_url, retention_values=0)
    assert for_ever.verify().ok
    execute(hits, "DELETE FROM pathhits_path_value_days")
    assert for_ever.verify().ok
    for one in (hits, for_ever):
        one.close()


@pytest.mark.parametrize("type_of_key", ["string", "list"])
def test_a_key_that_holds_no_values_loses_nothing_else(hits: PathHits, type_of_key: str) -> None:
    put(hits, "/", Trait("language", "de"))
    [generation] = hits.pending.live()
    key = hits.keys.generation_traits(generation)
    hits.redis.delete(key)
    (hits.redis.set if type_of_key == "string" else hits.redis.rpush)(key, "x")
    assert hits.top_values("language") == []
    put(hits, "/", Trait("language", "fr"))
    report = hits.sync()
    assert (report.hits, report.errors) == (2, 1)
    assert hits.top_values("language") == [ValueRow("fr", 1)]
    assert hits.verify().ok
    assert not list(hits.redis.scan_iter("*:gen:*"))
