"""How long each call of the API and the overview take with two years of counts in PostgreSQL, and how they are read.

    python -m benchmarks.dashboard [--days 730] [--paths 5000] [--items 50000] [--events 1000000] [--rounds 7]

It fills a PostgreSQL of its own, so it takes some minutes. Each URL is asked in turn; the median of its answers is
printed with the largest, and every table of hours or events that a statement reads from end to end.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import event, text
from werkzeug.test import Client

from pathhits import PathHits
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

#: Milliseconds that an answer may take, at the median.
API_LIMIT, PAGE_LIMIT = 100, 150
API = "/api/v1"
URLS = (
    "/",
    "/?range=year",
    *(f"{API}/summary?range={name}" for name in ("today", "30d", "90d", "year")),
    f"{API}/summary?range=30d&path=/path/7",
    *(f"{API}/series?range={name}&tz=Europe/Berlin" for name in ("today", "30d", "year")),
    f"{API}/series?range=year&by=day&path=/path/7&tz=Europe/Berlin",
    *(f"{API}/paths?range={name}&tz=Europe/Berlin" for name in ("today", "7d", "30d", "90d", "year")),
    f"{API}/paths?range=30d&search=99&sort=name&page=3",
    *(f"{API}/items?range={name}" for name in ("30d", "90d", "year")),
    f"{API}/items?range=30d&type=product&search=77",
    f"{API}/item?type=product&id=7",
    f"{API}/hot?type=product",
    f"{API}/sources",
    f"{API}/values?of=browser",
    f"{API}/searches",
    f"{API}/events",
    f"{API}/events?page=50",
    f"{API}/events?name=product.liked",
    f"{API}/drops?range=90d",
    f"{API}/active",
    f"{API}/health",
    "/metrics",
)
BIG = ("pathhits_path_hours", "pathhits_item_hours", "pathhits_site_hours", "pathhits_events")


def fill(hits: PathHits, days: int, paths: int, items: int, events: int) -> None:
    """Counts as a site has them: most labels have few hits, in some hours of each day."""
    now = int(time.time())
    last, hour = now // 86_400, now // 3_600
    stamp = "now(), now()"
    statements = (
        f"INSERT INTO path_counters (path_key, path, hit_count, created_at, updated_at) SELECT "
        f"sha256(convert_to('/path/' || n, 'UTF8')), '/path/' || n, 0, {stamp} FROM generate_series(1, {paths}) n",
        f"INSERT INTO pathhits_path_hours SELECT p.id, d * 24 + (p.id * 7 + d * 5 + k * 6) % 24, 1 + (p.id + d) % 9 "
        f"FROM path_counters p, generate_series({last - days + 1}, {last}) d, "
        "generate_series(0, CASE WHEN p.id < 500 THEN 3 ELSE 0 END) k ORDER BY 2, 1",
        "INSERT INTO pathhits_path_days SELECT path_id, hour / 24, sum(hits), max(hits) FROM pathhits_path_hours "
        "GROUP BY 1, 2 ORDER BY 2, 1",
        "UPDATE path_counters SET hit_count = s.n FROM (SELECT path_id, sum(hits) n FROM pathhits_path_days "
        "GROUP BY 1) s WHERE s.path_id = id",
        "INSERT INTO pathhits_site_hours SELECT c, h, 100 + h % 50 FROM unnest(array['hits', 'requests', 'visits', "
        "'bounces', 'seconds', 'drops:bot', 'drops:status', 'drops:static', 'views:product', "
        f"'refusals:product:cooldown']) c, generate_series({hour - days * 24}, {hour}) h",
        f"INSERT INTO pathhits_site_days SELECT d, 500 FROM generate_series({last - days + 1}, {last}) d",
        "INSERT INTO pathhits_items (item_key, item, item_type, view_count, visitors, visits, seconds, timed_views, "
        "recent_views, recent_at, is_hot, created_at, updated_at) SELECT sha256(convert_to('product:' || n, 'UTF8')), "
        f"'product:' || n, 'product', {items} / n, 1, 1, 60, 1, 9, 1, CASE WHEN n < 50 THEN 1 ELSE 0 END, {stamp} "
        f"FROM generate_series(1, {items}) n",
        # A few items have hundreds of views a day, most have one on some days.
        "INSERT INTO pathhits_item_days (item_id, day, views, visitors) "
        f"SELECT i, d, 1 + (i + d) % 3 + 2000 / (i + 20), 1 FROM generate_series(1, {items}) i, "
        f"generate_series({last - days + 1}, {last}) d WHERE (i + d) % 10 = 0 ORDER BY d, i",
        "INSERT INTO pathhits_item_hours SELECT item_id, day * 24 + item_id % 24, views FROM pathhits_item_days "
        "ORDER BY 2",
        "INSERT INTO pathhits_events SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), CASE WHEN n % 20 = 0 THEN "
        f"'product.liked' ELSE 'product.viewed' END, 1 + n % {items}, n % 90000, '', 'Mozilla/5.0', '', '', "
        f"{now}000::bigint - ({events} - n)::bigint * 7000 FROM generate_series(1, {events}) n",
    )
    with hits.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    vacuum(hits)


def vacuum(hits: PathHits) -> None:
    """Clean up and gather statistics, as PostgreSQL does by itself sooner or later."""
    with hits.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def read_whole(hits: PathHits, asked: list[tuple[str, Any]]) -> Iterator[str]:
    """The large tables that a statement reads from end to end."""
    with hits.engine.connect() as connection:
        for statement, given in asked:
            if statement.lstrip().upper().startswith(("SELECT", "WITH")):
                plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", given))
                yield from (name for name in BIG if f"Seq Scan on {name}" in plan)


def measure(client: Client, url: str, rounds: int) -> tuple[float, float]:
    """Milliseconds of an answer: the median and the largest, after one that warms up."""
    taken = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        response = client.get(url, buffered=True)
        taken.append((time.perf_counter() - began) * 1000)
        assert response.status_code == 200, (url, response.status_code, response.text[:500])
    return statistics.median(taken[1:]), max(taken[1:])


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("days", 730), ("paths", 5_000), ("items", 50_000), ("events", 1_000_000), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args()
    with PostgresServer(fsync=False) as postgres, RedisServer() as redis, postgres.database() as url:
        with tempfile.TemporaryDirectory():
            hits = PathHits(redis_url=redis.url_of(1), database_url=url, dashboard_public=True, sql_timeout=600.0)
            hits.migrate()
            began = time.perf_counter()
            fill(hits, given.days, given.paths, given.items, given.events)
            print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
            print(f"{hits.roll_months().months} months summed up", flush=True)
            vacuum(hits)
            report(hits, given.rounds)
            hits.close(1.0)


def report(hits: PathHits, rounds: int) -> None:
    """Print a line for each URL."""
    asked: list[tuple[str, Any]] = []
    event.listen(
        hits.engine,
        "before_cursor_execute",
        lambda con, cur, statement, given, ctx, many: asked.append((statement, given)),
    )
    from flask import Flask

    from pathhits.dashboard import make_blueprint

    app = Flask("benchmark")
    app.register_blueprint(make_blueprint(hits, lambda request: True))
    client = Client(app)
    for url in URLS:
        asked.clear()
        median, largest = measure(client, url, rounds)
        whole = sorted(set(read_whole(hits, list(dict.fromkeys((s, _frozen(g)) for s, g in asked)))))
        limit = API_LIMIT if url.startswith(API) else PAGE_LIMIT
        mark = "SLOW" if median > limit else "ok"
        said = f"reads whole: {', '.join(whole)}" if whole else ""
        print(f"{median:8.1f} ms {largest:8.1f} ms  {mark:4}  {url}  {said}".rstrip(), flush=True)


def _frozen(given: Any) -> Any:
    return tuple(given) if isinstance(given, list) else _Given(given) if isinstance(given, dict) else given


class _Given(dict[str, Any]):
    """Parameters that can be told apart."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted((name, str(value)) for name, value in self.items())))


if __name__ == "__main__":
    main()
