"""What the next 1,000 events cost on a log that is empty, small and large, and whether the sums equal a recount.

    python -m benchmarks.event_log [--events 1000000] [--items 10000] [--rounds 9] [--only postgresql,sqlite,mariadb]

Views of many items by many visitors over three days go through the ledger, 20,000 a generation, as a sync takes them.
Before, after a tenth and at the end, rounds of 1,000 more are timed, each a generation of its own: an empty log has its
indexes in a few pages, one of a tenth has spread them as they stay. Some of the views have a time. Then all sums are
compared with what plain Python makes of the same events. On PostgreSQL the plan of the look-up for visitors
is printed as well.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

from sqlalchemy import Engine, func, select

from pathhits.events import Logged, new_id, viewed
from pathhits.hits import SECONDS, TIMED, VISITS
from pathhits.storage.sql import migrate, tables
from pathhits.storage.sql.contents import Contents
from pathhits.storage.sql.dialects.engines import make_engine
from pathhits.storage.sql.dialects.lookups import look_up_statement
from pathhits.storage.sql.ledger import Ledger
from pathhits.storage.sql.log import DAY, QUESTIONS
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import PostgresServer

DATABASES = ("postgresql", "sqlite", "mariadb")
GENERATION = 20_000
MORE = 1_000
#: 2026-03-28 00:00 UTC, in milliseconds, and the days that the events take, one after the other.
FIRST = 1_774_656_000_000
DAYS = 3
#: Visitors of a day for each item there is.
VISITORS = 20
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"

_generations = count()


class Timed(NamedTuple):
    """A view, and the seconds that its page was looked at; None when nothing followed it."""

    event: Logged
    seconds: int | None


def main() -> None:
    """Print medians for each database, and fail when a sum is not that of the recount."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default=",".join(DATABASES))
    options = parser.parse_args()
    for name in options.only.split(","):
        with database(name) as engine:
            measure(name, engine, options.events, options.items, options.rounds)


class RoomyMariaDB(MariaDBServer):
    """One that can hold the log of a million events in memory, as the tests' servers cannot."""

    def command(self) -> list[str]:
        return [*super().command(), "--innodb-buffer-pool-size=1G"]


@contextmanager
def database(name: str) -> Iterator[Engine]:
    """An engine on a migrated database that is gone afterwards."""
    if name == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield migrated(f"sqlite:///{folder}/log.db")
        return
    server = PostgresServer() if name == "postgresql" else RoomyMariaDB()
    with server, server.database() as url:
        engine = migrated(url)
        yield engine
        engine.dispose()


def migrated(url: str) -> Engine:
    """An engine with our tables."""
    engine = make_engine(url)
    migrate.upgrade(engine)
    return engine


def measure(name: str, engine: Engine, number: int, items: int, rounds: int) -> None:
    """Time rounds of 1,000 events before and after ``number`` of them, then compare."""
    rng = random.Random(1)
    ledger, events = Ledger(engine), list[Timed]()
    step = DAYS * DAY // (number + 3 * rounds * MORE)
    costs, began, grown = [], time.perf_counter(), 0
    for share in (0, number // 10, number):
        for _ in range((share - grown) // GENERATION):
            timed(ledger, some_views(rng, GENERATION, items, events, step))
        grown, size = share, len(events)
        median = statistics.median(timed(ledger, some_views(rng, MORE, items, events, step)) for _ in range(rounds))
        costs.append(f"{1000 * median:6.1f} ms on {size:,}")
    rate = len(events) / (time.perf_counter() - began)
    print(f"{name:11} 1,000 events: {', '.join(costs)} ({rate:,.0f} events/s on the way)", flush=True)
    if name == "postgresql":
        explain(engine, events)
    wrong = list(differences(engine, events))
    assert not wrong, wrong[:5]
    print(
        f"{name:11} views, visitors, days and times of {items:,} items equal a recount of {len(events):,} events",
        flush=True,
    )


def some_views(rng: random.Random, number: int, items: int, events: list[Timed], step: int) -> Contents:
    """A generation of new views, ``step`` ms apart, which are added to ``events``; a visitor's hash holds for a day."""
    new = list[Timed]()
    for place in range(len(events), len(events) + number):
        moment = FIRST + place * step
        day = moment // DAY
        item = f"product:{int(items * rng.random() ** 2)}"  # some are viewed more than others
        visitor = hash((day, rng.randrange(items * VISITORS))) or 1
        event = Logged(new_id(moment), viewed("product"), item, visitor, "", AGENT, "shop.example", "", moment)
        new.append(Timed(event, rng.randrange(600) if rng.random() < 0.6 else None))
    events += new
    views: dict[str, dict[int, int]] = {}
    times: dict[str, dict[tuple[str, int], int]] = {}
    for event, seconds in new:
        hour = event.moment // 3_600_000
        hours = views.setdefault(event.item, {})
        hours[hour] = hours.get(hour, 0) + 1
        if seconds is not None:
            sums = times.setdefault(event.item, {})
            for counter, amount in ((VISITS, 1), (SECONDS, seconds), (TIMED, 1)):
                sums[counter, hour] = sums.get((counter, hour), 0) + amount
    return Contents(f"g{next(_generations)}", items=views, events=[one.event for one in new], times=times)


def timed(ledger: Ledger, contents: Contents) -> float:
    """Seconds that one transaction takes."""
    started = time.perf_counter()
    assert ledger.apply(contents, {}).events == len(contents.events)
    return time.perf_counter() - started


def differences(engine: Engine, timed_events: Sequence[Timed]) -> Iterator[tuple[str, object, object]]:
    """Sums of SQL that are not those of the events: what they are of, in SQL, and by the recount."""
    events = [event for event, _ in timed_events]
    views = Counter(event.item for event in events)
    daily = {(event.item, event.visitor, event.moment // DAY) for event in events}
    visitors = Counter(item for item, _ in {(item, visitor) for item, visitor, _ in daily})
    by_day = Counter((item, day) for item, _, day in daily)
    views_by_day = Counter((event.item, event.moment // DAY) for event in events)
    stays: dict[str, list[int]] = {}
    stays_by_day: dict[tuple[str, int], list[int]] = {}
    for event, seconds in timed_events:
        if seconds is not None:
            stays.setdefault(event.item, []).append(seconds)
            stays_by_day.setdefault((event.item, event.moment // DAY), []).append(seconds)
    with engine.connect() as connection:
        c, days = tables.items.c, tables.item_days.c
        yield from differing("events", connection.scalar(select(func.count()).select_from(tables.events)), len(events))
        for item, n, seen, visits, total, measured in connection.execute(
            select(c.item, c.view_count, c.visitors, c.visits, c.seconds, c.timed_views)
        ):
            own = stays.pop(item, [])
            yield from differing(item, (n, seen, visits), (views.pop(item, 0), visitors.pop(item, 0), len(own)))
            yield from differing(
                f"average of {item}", measured and total / measured, (own and statistics.fmean(own)) or 0
            )
        query = select(c.item, days.day, days.views, days.visitors, days.seconds, days.timed_views)
        for item, day, n, seen, total, measured in connection.execute(
            query.join_from(tables.item_days, tables.items, days.item_id == c.id)
        ):
            own, key = stays_by_day.pop((item, day), []), (item, day)
            expected = views_by_day.pop(key, 0), by_day.pop(key, 0), sum(own), len(own)
            yield from differing(f"{item} on day {day}", (n, seen, total, measured), expected)
    left: list[Sized] = [views, visitors, by_day, views_by_day, stays, stays_by_day]
    yield from differing("what SQL lacks", 0, sum(map(len, left)))


def differing(what: str, found: object, expected: object) -> Iterable[tuple[str, object, object]]:
    """The three as one difference, or none."""
    return [] if found == expected else [(what, found, expected)]


def explain(engine: Engine, events: Sequence[Timed]) -> None:
    """Print how PostgreSQL looks up 1,000 visitors of items."""
    with engine.connect() as connection:
        ids = dict(connection.execute(select(tables.items.c.item, tables.items.c.id)).all())
        some = [(ids[event.item], event.visitor, event.moment - event.moment % DAY) for event, _ in events[-MORE:]]
        arrays = tuple("{" + ",".join(map(str, column)) + "}" for column in zip(*some, strict=True))
        statement = look_up_statement("postgresql", len(arrays), QUESTIONS)
        plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", arrays)
        print("\n".join(f"    {line}" for line in plan.scalars()))


if __name__ == "__main__":
    main()
