"""Each view that counts is one row of the event log, whatever happens on its way; visitors of items are exact."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, select
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pathhits import Event, PathHits, Rules
from pathhits.events import Logged, milliseconds, new_id, viewed
from pathhits.hits import HITS, REQUESTS, VIEWS, Batch, Delta
from pathhits.jobs.sync import sort_out
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import Keys
from pathhits.storage.redis.pending import PendingStore
from pathhits.storage.sql import migrate, tables
from pathhits.storage.sql.dialects.engines import make_engine
from pathhits.storage.sql.dialects.lookups import look_up_statement
from pathhits.storage.sql.dialects.upserts import upsert
from pathhits.storage.sql.ledger import Ledger
from pathhits.storage.sql.log import EVENTS, QUESTIONS
from tests.faults.writer import BOT, BROWSER, page, request
from tests.unit.integrations import asking
from tests.unit.integrations.tables import Row as Path

DAY = 86_400_000
#: 2026-03-28 12:00 UTC, in milliseconds.
NOON = 1_774_699_200_000
Row = dict[str, Any]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


def logged(engine: Engine) -> list[Row]:
    """The log, the oldest first, with the names of the items."""
    events, items = tables.events.c, tables.items.c
    query = select(tables.events, items.item).outerjoin_from(tables.events, tables.items, events.item_id == items.id)
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(query.order_by(events.moment, events.id))]


def row_of(engine: Engine, item: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(select(tables.items).where(tables.items.c.item == item)).one()


def visitors_by_day(engine: Engine) -> dict[tuple[str, int], int]:
    days, items = tables.item_days.c, tables.items.c
    query = select(items.item, days.day, days.visitors).join_from(
        tables.item_days, tables.items, days.item_id == items.id
    )
    with engine.connect() as connection:
        return {(item, day): n for item, day, n in connection.execute(query)}


# From a request to the row.


def test_a_view_that_counts_is_one_event_with_all_that_is_known_of_it(hits: PathHits) -> None:
    shown = {"ip": "203.0.113.7", "user_agent": BROWSER}
    hits.register_item("product", rules=Rules.antispam())
    before = milliseconds(datetime.now(UTC).timestamp())
    assert hits.track_view("product", "jug", user_id="anna", **shown)
    assert hits.track_view("product", "jug", user_id="anna", **shown).reason == "cooldown"
    assert not hits.track_view("product", "jug", ip="203.0.113.8", user_agent=BOT)
    hits.flush()
    report = hits.sync()
    assert report.events == 1
    (row,) = logged(hits.engine)
    assert (row["name"], row["item"], row["user_agent"], row["referrer"], row["properties"]) == (
        "product.viewed", "product:jug", BROWSER, "", ""
    )  # fmt: skip
    assert before <= row["moment"] <= before + 60_000
    assert int.from_bytes(row["id"][:6], "big") == row["moment"]
    assert row["visitor"] != 0
    assert len(row["user_id"]) == 16
    assert "anna" not in row["user_id"]
    item = row_of(hits.engine, "product:jug")
    assert (item.view_count, item.visitors, item.first_seen, item.last_seen) == (1, 1, row["moment"], row["moment"])


def test_a_request_gives_its_event_the_host_of_its_referrer_and_a_short_user_agent(hits: PathHits) -> None:
    hits.register_item("product", rules=Rules.none())

    def shop(environ: Any, start_response: Any) -> Any:
        hits.track_view("product", environ["PATH_INFO"][1:])
        return page(environ, start_response)

    app = hits.wsgi(shop)
    long = "Mozilla/5.0 " + "ü" * 600
    request(app, "/a", long, "203.0.113.7", HTTP_REFERER="https://User:pw@Shop.Example.:8443/secret?q=203.0.113.9#x")
    request(app, "/b", BROWSER, "203.0.113.7", HTTP_REFERER="http://203.0.113.9/secret")
    request(app, "/c", BROWSER + " Opted", "203.0.113.7", HTTP_REFERER="https://shop.example/", HTTP_SEC_GPC="1")
    request(app, "/d", BROWSER, "203.0.113.7", HTTP_REFERER="http://[half")
    hits.flush()
    hits.sync()
    a, b, c, d = sorted(logged(hits.engine), key=lambda row: row["item"])
    assert a["referrer"] == "shop.example"
    assert a["user_agent"].startswith("Mozilla/5.0 ü")
    assert 510 <= len(a["user_agent"].encode()) <= 512
    assert (b["referrer"], d["referrer"]) == ("", "")
    assert (c["item"], c["visitor"], c["user_id"], c["user_agent"], c["referrer"]) == ("product:c", 0, "", "", "")
    assert row_of(hits.engine, "product:c").visitors == 0


def test_hits_on_the_route_of_an_item_are_logged_with_their_referrer_over_wsgi_and_asgi(hits: PathHits) -> None:
    app = Flask("shop")
    app.add_url_rule("/p/<slug>", "product_detail", lambda slug: slug)
    hits.init_app(app)
    hits.register_item("product", route="product_detail", id="slug")
    hits.register_item("film", route="/f/{slug}", id="slug")
    headers = {"User-Agent": BROWSER, "Referer": "https://News.Example/today"}
    app.test_client().get("/p/jug", headers=headers)
    films = hits.asgi(Starlette(routes=[Route("/f/{slug}", lambda _: PlainTextResponse("a film"))]))
    scope = asking.scope_of(Path("/f/metropolis", ""))
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(asking.exchange(films, scope))
    hits.flush()
    hits.sync()
    rows = [(row["name"], row["item"], row["referrer"], row["user_agent"]) for row in logged(hits.engine)]
    assert sorted(rows) == [
        ("film.viewed", "film:metropolis", "news.example", BROWSER),
        ("product.viewed", "product:jug", "news.example", BROWSER),
    ]


def test_the_log_says_of_each_view_whether_it_counts_or_why_not(
    redis_url: str, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pathhits")
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, flush_interval=3600, request_deadline=20.0)
    hits.register_item("product", rules=Rules.antispam())
    for agent in (BROWSER, BROWSER, BOT):
        hits.track_view("product", "jug", ip="203.0.113.7", user_agent=agent)
    hits.flush()
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("view of")]
    assert Counter(said) == {
        "view of product:jug: counted": 1, "view of product:jug: refused, cooldown": 1,
        "view of product:jug: refused, bot": 1,
    }  # fmt: skip
    assert "203.0.113" not in caplog.text
    hits.close(0.1)


def test_an_event_looks_to_an_app_as_the_contract_says() -> None:
    sent = Logged(new_id(NOON), "product.viewed", "product:a:b", -5, "u", "agent", "host.example", '{"page":2}', NOON)
    event = Logged.parse(json.loads(sent.text())).event()
    assert isinstance(event, Event)
    assert (event.item_type, event.item_id, event.visitor, event.properties) == ("product", "a:b", -5, {"page": 2})
    assert event.moment == datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert event.id == sent.id.hex()
    assert sorted([new_id(NOON + 1), new_id(NOON)])[0][:6] == NOON.to_bytes(6, "big")
    assert milliseconds(86_399.99999999999) == 86_399_999


# In Redis.


def test_a_generation_is_closed_at_so_many_events_and_its_events_are_settled_with_it(redis_url: str) -> None:
    with connect(redis_url, timeout=5.0) as client:
        store = PendingStore(client, Keys("log"), generation_events=3)
        for n in range(1, 6):
            batch = Batch("c", n, f"g{n}", {Delta(1, REQUESTS, ""): 1}, {}, (), (f'{{"a":{n}}}', f'{{"b":{n}}}'))
            assert store.add(batch, "").status == "added"
            assert store.events_wait()
        assert store.seal() == ["g1", "g3", "g5"]
        assert store.events("g3") == [b'[{"a":3},{"b":3}]', b'[{"a":4},{"b":4}]']
        assert not store.events_wait(), "nothing is open: what is sealed is a sync's already"
        for generation in ("g1", "g3", "g5"):
            store.settle(generation)
        assert not list(client.scan_iter("*gen*"))


def test_a_generation_is_closed_at_so_many_kilobytes_of_events(redis_url: str) -> None:
    with connect(redis_url, timeout=10.0) as client:
        store = PendingStore(client, Keys("log"), generation_events=20)
        for number in range(1, 7):
            large = json.dumps({"properties": "x" * 8_000})
            store.add(Batch("c", number, f"g{number}", {}, {}, events=(large,)), "")
        assert [len(store.events(generation)) for generation in store.live()] == [3, 3]


def test_what_is_no_event_stands_aside_and_holds_up_nothing(redis_url: str, engine: Engine) -> None:
    good = view_event("product:1", 5, NOON)
    bad = [{"id": "00"}, 7, {**json.loads(good.text()), "item": "product:\x07"},
           {**json.loads(good.text()), "visitor": 2**63}, {**json.loads(good.text()), "at": True}]  # fmt: skip
    entries = [f"[{good.text()}]".encode(), json.dumps(bad).encode(), b"{}", b"not json \xff"]
    contents = sort_out("g", {f"{NOON // 3_600_000}:{VIEWS}:product:1".encode(): b"1"}, entries)
    applied = Ledger(engine).apply(contents, {})
    assert (applied.events, applied.errors) == (1, 7)
    assert [row["item"] for row in logged(engine)] == ["product:1"]


# Exact visitors.


def view_event(item: str, visitor: int, moment: int) -> Logged:
    return Logged(new_id(moment), viewed(item.partition(":")[0]), item, visitor, "", BROWSER, "", "", moment)


def generation(name: str, events: Sequence[Logged]) -> Any:
    """What a generation with these views, and a hit for each, holds."""
    fields: Counter[str] = Counter()
    for event in events:
        hour = event.moment // 3_600_000
        fields.update([f"{hour}:{VIEWS}:{event.item}", f"{hour}:{HITS}:/", f"{hour}:{REQUESTS}:"])
    entries = [
        f"[{','.join(event.text() for event in events[n : n + 80])}]".encode() for n in range(0, len(events), 80)
    ]
    return sort_out(name, {field.encode(): str(n).encode() for field, n in fields.items()}, entries)


def check(engine: Engine, events: Sequence[Logged]) -> None:
    """Compare everything with what plain Python makes of the events."""
    assert Counter(row["id"] for row in logged(engine)) == Counter(event.id for event in events)
    views = Counter(event.item for event in events)
    seen = {(event.item, event.visitor) for event in events if event.visitor}
    daily = {(event.item, event.visitor, event.moment // DAY) for event in events if event.visitor}
    in_all, by_day = Counter(item for item, _ in seen), Counter((item, day) for item, _, day in daily)
    with engine.connect() as connection:
        rows = {row.item: row for row in connection.execute(select(tables.items))}
    assert {item: row.view_count for item, row in rows.items()} == views
    assert {item: row.visitors for item, row in rows.items() if row.visitors} == in_all
    assert {key: n for key, n in visitors_by_day(engine).items() if n} == by_day
    for item, row in rows.items():
        moments = [event.moment for event in events if event.item == item]
        assert (row.first_seen, row.last_seen) == (min(moments), max(moments))


def some_events(rng: random.Random, number: int, items: int, visitors: int) -> list[Logged]:
    """Views over three days, each visitor with one id in a salt period of a day, some nobody's."""
    events = []
    for _ in range(number):
        moment = NOON + rng.randrange(-DAY, DAY)
        person = rng.randrange(visitors)
        visitor = 0 if person == 0 else (person * 7_919 + moment // DAY * 1_000_003) * (-1 if person % 2 else 1) << 20
        events.append(view_event(f"product:{rng.randrange(items)}", visitor, moment))
    return events


def test_visitors_of_items_are_those_that_a_recount_of_the_log_finds(engine: Engine) -> None:
    rng = random.Random(1)
    events = some_events(rng, 20_000, items=300, visitors=400)
    ledger = Ledger(engine)
    for n in range(0, len(events), 2_500):
        assert ledger.apply(generation(f"g{n}", events[n : n + 2_500]), {}).events == 2_500
    check(engine, events)


def test_a_visitor_counts_once_a_period_and_once_a_day_and_what_is_logged_twice_once(engine: Engine) -> None:
    # A salt period of more than a day: the same visitor on two days.
    events = [view_event("product:1", 5, NOON + n * DAY // 4) for n in range(8)] + [view_event("product:2", 5, NOON)]
    ledger = Ledger(engine)
    assert ledger.apply(generation("a", events[4:]), {}).events == 5
    twice = generation("b", events[:4] + events[5:])
    twice.items["product:1"] = {NOON // 3_600_000: 4}
    twice.items.pop("product:2")
    assert ledger.apply(twice, {}).events == 4
    item = row_of(engine, "product:1")
    assert (item.visitors, item.first_seen, item.last_seen) == (1, NOON, NOON + 7 * DAY // 4)
    assert visitors_by_day(engine) == {("product:1", NOON // DAY + n): 1 for n in range(3)} | {
        ("product:2", NOON // DAY): 1
    }
    assert len(logged(engine)) == 9


def test_events_that_are_no_views_make_no_visitors_and_need_no_item(engine: Engine) -> None:
    sold = view_event("product:1", 5, NOON)._replace(name="product.sold", properties='{"price":3}')
    sought = view_event("", 5, NOON + 1)._replace(name="search.performed", item="")
    contents = sort_out("g", {}, [f"[{sold.text()},{sought.text()}]".encode()])
    assert Ledger(engine).apply(contents, {}).events == 2
    assert Ledger(engine).apply(generation("h", [view_event("product:1", 5, NOON + 2)]), {}).events == 1
    assert [(row["name"], row["item"], row["properties"]) for row in logged(engine)] == [
        ("product.sold", "product:1", '{"price":3}'),
        ("search.performed", None, ""),
        ("product.viewed", "product:1", ""),
    ]
    item = row_of(engine, "product:1")
    assert (item.view_count, item.visitors, item.first_seen) == (1, 1, NOON + 2)


def test_two_syncs_at_once_that_share_items_and_visitors_count_each_once(engine: Engine) -> None:
    rng = random.Random(2)
    events: list[Logged] = []
    problems: list[BaseException] = []

    def apply(contents: Any, barrier: threading.Barrier) -> None:
        try:
            barrier.wait()
            assert Ledger(engine).apply(contents, {}).new
        except BaseException as error:
            problems.append(error)

    for turn in range(40):
        # Few items and visitors, and each pair new in this turn on both sides.
        sides = [[view_event(f"product:{rng.randrange(3)}", turn * 5 + rng.randrange(1, 5), NOON + turn * 1_000 + n)
                  for n in range(8)] for _ in range(2)]  # fmt: skip
        events += sides[0] + sides[1]
        barrier = threading.Barrier(2)
        threads = [threading.Thread(target=apply, args=(generation(f"g{turn}-{n}", side), barrier))
                   for n, side in enumerate(sides)]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems
    check(engine, events)


def test_visitors_are_looked_up_through_the_index_of_visitors(engine: Engine) -> None:
    rng = random.Random(3)
    # So many that databases took the index over items and moments for as good, and read all views of a day.
    rows = [
        (new_id(moment), "product.viewed", rng.randrange(1_000), rng.randrange(2**40), "", BROWSER, "", "", moment)
        for moment in (NOON + rng.randrange(3 * DAY) for _ in range(70_000))
    ]
    with engine.begin() as connection:
        upsert(connection, EVENTS, rows)
    name = engine.dialect.name
    given = ("{1}", "{2}", "{3}") if name == "postgresql" else ("[[1,2,3]]",)
    explain = "EXPLAIN QUERY PLAN" if name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        if name != "mariadb":  # which looks by itself, and has not yet
            connection.exec_driver_sql("ANALYZE")
        found = connection.exec_driver_sql(f"{explain} {look_up_statement(name, 3, QUESTIONS)}", given).mappings().all()
    # MariaDB says apart which indexes it might have used.
    plan = " ".join(str(value) for row in found for column, value in row.items() if column != "possible_keys")
    assert set(re.findall(r"ix_pathhits_\w+", plan)) == {"ix_pathhits_events_item_visitor"}, plan
    assert plan.count("ix_pathhits_events_item_visitor") == len(QUESTIONS), plan
