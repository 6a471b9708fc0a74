"""Visits, bounces and time: what Redis makes of hits equals a plain model, in whatever order and pieces they come."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from pathhits import PathHits
from pathhits.capture.buffer import Buffer
from pathhits.capture.guard import Guard
from pathhits.capture.items import Items
from pathhits.capture.recorder import Entry
from pathhits.core.rules import Rules
from pathhits.hits import BOUNCES, HITS, PASSED, REFUSED, SECONDS, TIMED, VIEWS, VISITS, Batch, Delta, Stay, Step
from pathhits.settings import Settings
from pathhits.stats import Metric, Visits
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import ACTIVE, VISIT_KEPT, Keys
from pathhits.storage.redis.pending import PendingStore
from pathhits.storage.sql import tables
from pathhits.testing import FixedSalts, MemorySink
from tests.faults.writer import BROWSER, page, request

#: 2026-03-28 23:00 UTC: an hour before midnight, when the salt changes.
EVENING = 1_774_738_800.0
TIMEOUT = 1_800
_sequences = itertools.count(1)
Sums = Counter[tuple[int, str, str]]


class Page(NamedTuple):
    """A hit of a visitor; ``item`` is what the page shows, "" for a plain one."""

    moment: float
    visitor: int
    item: str


@dataclass
class Visit:
    """What the model knows of a visitor's present visit."""

    hour: int
    last: float
    hits: int = 1
    items: set[str] = field(default_factory=set)
    shown: str = ""
    shown_hour: int = 0
    timed: bool = False


def model(pages: Iterable[Page], cooldown: int = 0) -> Sums:
    """The sums that the definitions give for hits in their order."""
    sums: Sums = Counter()
    visits: dict[int, Visit] = {}
    viewed: dict[tuple[int, str], float] = {}
    for moment, visitor, item in pages:
        hour = int(moment // 3600)
        sums[hour, HITS, "product" if item else "/"] += 1
        visit = visits.get(visitor)
        if visit is None or moment - visit.last > TIMEOUT:
            visit = visits[visitor] = Visit(hour, moment)
            sums[hour, VISITS, ""] += 1
            sums[hour, BOUNCES, ""] += 1
        else:
            gap = int(moment) - int(visit.last)
            sums[visit.hour, SECONDS, ""] += gap
            sums[visit.hour, BOUNCES, ""] -= visit.hits == 1
            visit.hits += 1
            visit.last = moment
            if visit.shown:
                sums[visit.shown_hour, SECONDS, visit.shown] += gap
                sums[visit.shown_hour, TIMED, visit.shown] += not visit.timed
                visit.timed = True
        last = viewed.get((visitor, item))
        if not item:
            visit.shown = ""
        elif last is None or not cooldown or moment - last >= cooldown:
            viewed[visitor, item] = moment
            sums[hour, VIEWS, item] += 1
            visit.shown, visit.shown_hour, visit.timed = item, hour, False
            sums[hour, VISITS, item] += item not in visit.items
            visit.items.add(item)
        elif item != visit.shown:
            visit.shown = ""
    return Counter({key: n for key, n in sums.items() if n})


def counted(
    store: PendingStore | MemorySink, counters: Sequence[str] = (HITS, VIEWS, VISITS, BOUNCES, SECONDS, TIMED)
) -> Sums:
    """What all live generations hold together."""
    sums: Sums = Counter()
    for generation in store.live():
        for name, amount in store.read(generation).items():
            delta = Delta.parse(name)
            if delta.counter in counters:
                sums[delta] += int(amount)
    return Counter({key: n for key, n in sums.items() if n})


def total(sums: Sums, counter: str, subject: str = "") -> int:
    return sum(n for (_, name, of), n in sums.items() if (name, of) == (counter, subject))


@pytest.fixture
def store(redis_url: str) -> Iterator[PendingStore]:
    with connect(redis_url, timeout=5.0) as client:
        yield PendingStore(client, Keys("visits"))


class Process:
    """A web process as far as counting goes: a buffer of its own, and a moment for every hit."""

    def __init__(self, store: PendingStore | MemorySink, rules: Rules) -> None:
        items = Items()
        items.register("product", "product", "id", rules)
        # Nothing is sent before the test says so.
        self._buffer = Buffer(Settings(flush_interval=86_400.0), store, FixedSalts(), Guard(), items)

    def visit(self, page: Page) -> None:
        path, route = f"/{page.item}", "product" if page.item else None
        params = {"id": page.item.partition(":")[2]} if page.item else {}
        who = f"10.9.{page.visitor // 256}.{page.visitor % 256}", "", "Mozilla/5.0 (X11; Linux) Firefox/142.0"
        self._buffer.append(Entry(page.moment, "", route, path, path, "text/html", *who, False, params))

    def flush(self) -> None:
        assert self._buffer.flush(5.0)

    def close(self) -> None:
        assert self._buffer.close(30.0)


GAPS = st.sampled_from([0.0, 0.125, 1.5, 59.875, TIMEOUT - 0.125, float(TIMEOUT), TIMEOUT + 0.125, 2 * TIMEOUT]) | (
    st.integers(0, 8 * 4000).map(lambda eighths: eighths / 8)
)
STEPS = st.tuples(GAPS, st.integers(1, 3), st.sampled_from(["", "", "product:1", "product:2", "product:ü%:"]))


def pages_of(steps: Iterable[tuple[float, int, str]]) -> list[Page]:
    moments = itertools.accumulate((gap for gap, _, _ in steps), initial=EVENING)
    return [Page(moment, visitor, item) for moment, (_, visitor, item) in zip(list(moments)[1:], steps, strict=True)]


def fresh(store: PendingStore) -> PendingStore:
    return PendingStore(store.client, Keys(secrets.token_hex(6)))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=40), cooldown=st.sampled_from([0, 120, 3600]), every=st.integers(1, 12))
def test_hits_in_order_give_the_visits_of_a_plain_model(
    store: PendingStore, steps: list[tuple[float, int, str]], cooldown: int, every: int
) -> None:
    pages = pages_of(steps)
    # In memory, for tests of apps, visits are the same.
    for taker in (fresh(store), MemorySink()):
        process = Process(taker, Rules(cooldown=cooldown))
        for number, one in enumerate(pages, 1):
            process.visit(one)
            if number % every == 0:
                process.flush()
        process.close()
        assert counted(taker) == model(pages, cooldown)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Of two hits in the same moment either is the first: there is no one order to compare with.
@given(steps=st.lists(STEPS.filter(lambda step: step[0] > 0), max_size=24), data=st.data())
def test_late_hits_never_split_or_double_a_visit_and_add_no_time(
    store: PendingStore, steps: list[tuple[float, int, str]], data: st.DataObject
) -> None:
    redis, pages = fresh(store), pages_of(steps)
    processes = [Process(redis, Rules.none()) for _ in range(2)]
    for one in data.draw(st.permutations(pages), label="order"):
        process = processes[data.draw(st.integers(0, 1))]
        process.visit(one)
        if data.draw(st.booleans(), label="flush"):
            process.flush()
    for process in processes:
        process.close()
    found, ordered = counted(redis), model(pages)
    for counter in (HITS, VIEWS):
        assert {key: n for key, n in found.items() if key[1] == counter} == {
            key: n for key, n in ordered.items() if key[1] == counter
        }
    assert total(found, VISITS) == total(ordered, VISITS)
    assert total(found, BOUNCES) == total(ordered, BOUNCES)
    assert all(n >= 0 for n in found.values())
    for item in {""} | {one.item for one in pages}:
        assert 0 <= total(found, SECONDS, item) <= total(ordered, SECONDS, item)
        assert total(found, TIMED, item) <= total(ordered, TIMED, item)
        assert total(found, VISITS, item) <= total(found, VIEWS, item) or not item


# Single cases.


def stay(*moments: float, ids: tuple[str, ...] = ("now", "before"), home: int = 0, shown: str = "") -> Stay:
    """Hits of one visitor at these seconds of the evening, on the page of an item whose view counts."""
    marks = ((PASSED, shown),) if shown else ()
    return Stay(ids, home, tuple(Step(EVENING + moment, marks) for moment in moments))


def send(store: PendingStore, *stays: Stay) -> None:
    assert store.add(Batch("client", next(_sequences), secrets.token_hex(8), {}, {}, stays=stays), "").status == "added"


def size(store: PendingStore, key: str) -> int:
    return int(store.client.memory_usage(key) or 0)


def sums(store: PendingStore) -> tuple[int, int, int]:
    """Visits, bounces and seconds of the site."""
    found = counted(store)
    return total(found, VISITS), total(found, BOUNCES), total(found, SECONDS)


def test_a_hit_that_comes_late_between_two_visits_makes_one_of_them(store: PendingStore) -> None:
    send(store, stay(0))
    send(store, stay(2 * TIMEOUT))
    assert sums(store) == (2, 2, 0)
    send(store, stay(TIMEOUT))
    assert sums(store) == (1, 0, 0)
    send(store, stay(2 * TIMEOUT + 30))
    assert sums(store) == (1, 0, 30)


def test_corrections_are_made_in_the_hour_of_what_they_correct(store: PendingStore) -> None:
    send(store, stay(0))
    store.seal()
    send(store, stay(2 * TIMEOUT), stay(TIMEOUT))
    hour = int(EVENING // 3600)
    # The second visit came and went in one call: nothing is left of it.
    assert store.read(store.live()[-1]) == {f"{hour}:bounces:".encode(): b"-1"}


def test_a_visit_is_found_under_the_id_of_the_salt_before_and_moves_to_the_new_one(store: PendingStore) -> None:
    send(store, stay(0, ids=("friday", "thursday")))
    send(store, stay(60, ids=("saturday", "friday")))
    assert sums(store) == (1, 0, 60)
    assert [key for key in store.client.scan_iter() if b":visit:" in key] == [store.keys.visit("saturday").encode()]
    send(store, stay(30, ids=("saturday", "friday", "thursday"), home=1))
    assert sums(store) == (1, 0, 60), "a hit of before midnight that came after it"
    assert store.client.exists(store.keys.visit("saturday"))


def test_a_key_of_visits_expires_by_itself_and_holds_what_it_needs(store: PendingStore) -> None:
    send(store, stay(0, shown="product:1"))
    key = store.keys.visit("now")
    assert TIMEOUT < store.client.ttl(key) <= TIMEOUT + VISIT_KEPT
    assert 0 < size(store, key) < 400


def test_many_visits_late_hits_and_items_leave_a_small_key(store: PendingStore) -> None:
    for start in range(0, 400 * 2 * TIMEOUT, 40 * 2 * TIMEOUT):
        send(store, *(stay(start + n * 2 * TIMEOUT, shown=f"product:{n}") for n in range(40)))
    send(store, *(stay(1e7 + n, shown=f"product:{n}") for n in range(500)))
    assert 0 < size(store, store.keys.visit("now")) < 12_000
    assert sums(store)[0] == 401
    send(store, stay(0), stay(-1e6))
    assert sums(store)[0] == 401, "what is older than all it remembers changes nothing"


def test_what_is_no_visit_in_a_key_is_written_anew(store: PendingStore) -> None:
    for nonsense in ("nonsense", "[]", '{"v": 5}', '{"v": []}'):
        store.client.set(store.keys.visit("now"), nonsense)
        send(store, stay(0))
    assert sums(store) == (4, 4, 0)


def test_a_refused_reload_goes_on_with_the_view(store: PendingStore) -> None:
    marks = ((PASSED, "product:1"),), ((REFUSED, "product:1"),), ((REFUSED, "product:2"),), ()
    steps = tuple(Step(EVENING + 10 * n, shown) for n, shown in enumerate(marks))
    send(store, Stay(("now",), 0, steps))
    found = counted(store)
    assert [total(found, name, "product:1") for name in (VISITS, SECONDS, TIMED)] == [1, 20, 1]
    assert [total(found, name, "product:2") for name in (VISITS, SECONDS, TIMED)] == [0, 0, 0]


def test_active_are_those_with_a_hit_in_the_last_minutes(store: PendingStore) -> None:
    now = time.time() - EVENING
    send(store, stay(now - 2 * ACTIVE, ids=("long ago",)), stay(now - ACTIVE / 2, ids=("lately",)))
    send(store, stay(now, ids=("now",)), stay(now, ids=("after midnight", "lately")))
    assert store.active_visitors() == 2
    assert 0 < store.client.ttl(store.keys.active()) <= ACTIVE


def test_a_duplicate_batch_changes_no_visit(store: PendingStore) -> None:
    batch = Batch("client", next(_sequences), "g", {}, {}, stays=(stay(0, 10),))
    assert [store.add(batch, "").status for _ in range(2)] == ["added", "duplicate"]
    assert sums(store) == (1, 0, 10)


# In SQL, and read.


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0, flush_interval=3600)
    hits.migrate()
    yield hits
    hits.close(0.1)


def item_rows(hits: PathHits) -> dict[str, Any]:
    """Visits, seconds and timed views of each item: in all, and by day."""
    names = ("visits", "seconds", "timed_views")
    days = tables.item_days.c
    with hits.engine.connect() as connection:
        found = connection.execute(select(tables.items)).all()
        totals = {row.id: tuple(getattr(row, name) for name in names) for row in found}
        items = {row.id: row.item for row in found}
        by_day = {
            (items[row.item_id], row.day): tuple(getattr(row, name) for name in names)
            for row in connection.execute(select(tables.item_days).order_by(days.day))
        }
    return {"totals": {items[key]: row for key, row in totals.items()}, "days": by_day}


def test_stored_and_pending_visits_are_read_together(hits: PathHits) -> None:
    since = datetime.fromtimestamp(EVENING, UTC)
    send(hits.pending, stay(0, 100, shown="product:1"), stay(5, ids=("other",)))
    assert hits.sync().errors == 0
    # Across midnight, a correction of what is stored, and a visit of tomorrow.
    send(hits.pending, stay(8, ids=("other",)), stay(100 + TIMEOUT, 100 + 2 * TIMEOUT), stay(9000, ids=("third",)))
    expected = Visits(visits=3, bounces=1, seconds=100 + 3 + 2 * TIMEOUT)
    assert (expected.average_duration, expected.average_duration_without_bounces) == (3703 / 3, 3703 / 2)
    for _ in range(2):
        assert hits.visits() == expected
        assert hits.visits(since, since + timedelta(hours=1)) == Visits(2, 0, 3703)
        assert hits.visits(since - timedelta(days=1), since) == Visits(0, 0, 0)
        for metric, values in (("visits", [2, 0, 1]), ("bounces", [0, 0, 1]), ("seconds", [3703, 0, 0])):
            points = hits.series(cast(Metric, metric), since, since + timedelta(hours=3))
            assert [point.value for point in points] == values, metric
        assert hits.sync().errors == 0
    assert hits.verify().ok


def test_an_empty_site_has_no_average(hits: PathHits) -> None:
    found = hits.visits()
    assert (found, found.average_duration, found.average_duration_without_bounces) == (Visits(0, 0, 0), None, None)


def test_corrections_that_come_first_are_not_shown_below_nothing(hits: PathHits) -> None:
    send(hits.pending, stay(0))
    first = hits.pending.seal()
    send(hits.pending, stay(5))
    hits.pending.client.zrem(hits.pending.keys.sealed(), *first)
    assert hits.sync().errors == 0
    assert hits.visits() == Visits(0, 0, 5)
    hits.pending.client.zadd(hits.pending.keys.sealed(), dict.fromkeys(first, 1))
    assert hits.sync().errors == 0
    assert hits.visits() == Visits(1, 0, 5)


def test_items_have_visits_and_time_in_all_and_by_day(hits: PathHits) -> None:
    day = int(EVENING // 86_400)
    send(hits.pending, stay(0, 30, 90, shown="product:1"), stay(0, ids=("other",), shown="product:1"))
    hits.sync()
    send(hits.pending, stay(3000, 3600, 3660, ids=("third",), shown="product:1"))
    send(hits.pending, stay(3690, ids=("third",), shown="product:2"))
    hits.sync()
    rows = item_rows(hits)
    assert rows["totals"] == {"product:1": (3, 780, 5), "product:2": (1, 0, 0)}
    assert hits.verify().ok
    with hits.engine.begin() as connection:
        connection.execute(update(tables.items).values(seconds=tables.items.c.seconds + 1))
    assert [check.name for check in hits.verify().checks if not check.holds] == ["seconds by day = items"]
    assert rows["days"] == {
        ("product:1", day): (3, 690, 3),
        ("product:1", day + 1): (0, 90, 2),
        ("product:2", day + 1): (1, 0, 0),
    }


def test_the_visits_of_real_requests_are_counted(hits: PathHits) -> None:
    hits.register_item("product", rules=Rules.antispam())
    started = time.time()

    def shop(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/jug":
            hits.track_view("product", "jug")
        return page(environ, start_response)

    app = hits.wsgi(shop)
    for path, address in (("/jug", "203.0.113.7"), ("/", "203.0.113.7"), ("/jug", "203.0.113.8")):
        request(app, path, BROWSER, address)
    request(app, "/", BROWSER, "203.0.113.9", HTTP_SEC_GPC="1")
    request(app, "/", "curl/8.0", "203.0.113.10")
    hits.flush()
    found = hits.visits()
    assert (found.visits, found.bounces) == (2, 1)
    assert found.seconds <= time.time() - started + 1
    assert hits.active_visitors() == 2
    hits.sync()
    visits, seconds, timed = item_rows(hits)["totals"]["product:jug"]
    assert (visits, seconds, timed) == (2, found.seconds, 1)


def test_no_visits_are_counted_where_they_are_turned_off(redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, visit_timeout=0, request_deadline=60.0)
    hits.migrate()
    request(hits.wsgi(page), "/", BROWSER, "203.0.113.7")
    hits.flush()
    assert (hits.hit_count("/"), hits.visits(), hits.active_visitors()) == (1, Visits(0, 0, 0), 0)
    hits.close(0.1)
