"""How fast a sync moves 100 k paths into PostgreSQL, against COPY + upsert of the same rows in the same run.

    python -m benchmarks.sync_rate [--paths 100000] [--rounds 5]

A sync reads Redis, counts the sketches, and writes three rows a path (total, hour, day), the site's sums and the
ledger. The baseline gets its rows from memory, COPYs them into a temporary table and upserts them into the same three
tables of a second database by INSERT ... SELECT: the fastest way PostgreSQL has. A second baseline upserts only the
one row of the total. All are interleaved; the first round inserts, the others update.
"""

from __future__ import annotations

import argparse
import statistics
import time

import psycopg

from pathhits import PathHits
from pathhits.core import labels
from pathhits.hits import HITS, REQUESTS, SITE, Batch, Delta, Sketch
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

BATCH = 1_000
HITS_A_PATH = 3

INCOMING = """
CREATE TEMP TABLE incoming (path_key bytea, path text, hour int, hits bigint, visitors bigint) ON COMMIT DROP
"""
TOTALS = """
INSERT INTO path_counters AS t (path_key, path, hit_count, created_at, updated_at)
SELECT path_key, path, hits, now(), now() FROM incoming ORDER BY path_key
ON CONFLICT (path_key) DO UPDATE SET hit_count = t.hit_count + excluded.hit_count, updated_at = excluded.updated_at
"""
HOURS = """
INSERT INTO pathhits_path_hours AS t (path_id, hour, hits)
SELECT c.id, i.hour, i.hits FROM incoming i JOIN path_counters c USING (path_key) ORDER BY 1
ON CONFLICT (path_id, hour) DO UPDATE SET hits = t.hits + excluded.hits
"""
DAYS = """
INSERT INTO pathhits_path_days AS t (path_id, day, hits, visitors)
SELECT c.id, i.hour / 24, i.hits, i.visitors FROM incoming i JOIN path_counters c USING (path_key) ORDER BY 1
ON CONFLICT (path_id, day) DO UPDATE
SET hits = t.hits + excluded.hits, visitors = GREATEST(t.visitors, excluded.visitors)
"""


def main() -> None:
    """Print paths per second of all three, medians, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--paths", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    paths = [f"/products/item-{n}" for n in range(options.paths)]
    with RedisServer() as redis_server, PostgresServer() as server:
        hits = counter(redis_server.url, server.fresh_database())
        same, total = server.fresh_database(), server.fresh_database()
        for url in (same, total):
            counter(redis_server.url, url).close()
        rates: dict[str, list[float]] = {"sync": [], "COPY + upsert, same rows": [], "COPY + upsert, totals": []}
        for number in range(options.rounds):
            fill(hits, paths, number)
            rates["sync"].append(len(paths) / timed_sync(hits, len(paths)))
            rates["COPY + upsert, same rows"].append(len(paths) / copy_and_upsert(same, paths, TOTALS, HOURS, DAYS))
            rates["COPY + upsert, totals"].append(len(paths) / copy_and_upsert(total, paths, TOTALS))
            print(f"round {number}:", ", ".join(f"{name} {values[-1]:,.0f}/s" for name, values in rates.items()))
        assert hits.verify().ok
        hits.close()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        print(f"{name:26} {median:9,.0f} paths/s   sync is {medians['sync'] / median:.2f} of it")


def counter(redis_url: str, database_url: str) -> PathHits:
    """A PathHits on a migrated database."""
    hits = PathHits(redis_url=redis_url, database_url=database_url, redis_timeout=30)
    hits.migrate()
    return hits


def fill(hits: PathHits, paths: list[str], number: int) -> None:
    """Put hits and two visitors of every path into Redis, as the flusher would."""
    hour = int(time.time() // 3600)
    for first in range(0, len(paths), BATCH):
        some = paths[first : first + BATCH]
        deltas = dict.fromkeys((Delta(hour, HITS, path) for path in some), HITS_A_PATH)
        deltas[Delta(hour, REQUESTS, "")] = HITS_A_PATH * len(some)
        seen: dict[Sketch, tuple[int, ...]] = {Sketch(hour // 24, path): (number, -1 - first) for path in some}
        seen[Sketch(hour // 24, SITE)] = (number,)
        hits.pending.add(Batch("bench", number * len(paths) + first + 1, f"g{number}-{first}", deltas, seen), "")


def timed_sync(hits: PathHits, paths: int) -> float:
    """Seconds that one sync of everything takes."""
    started = time.perf_counter()
    report = hits.sync()
    assert report.hits == HITS_A_PATH * paths, report
    return time.perf_counter() - started


def copy_and_upsert(url: str, paths: list[str], *statements: str) -> float:
    """Seconds that COPY into a temporary table and the ``statements`` take, in one transaction."""
    hour = int(time.time() // 3600)
    started = time.perf_counter()
    rows = [(labels.key_of_clean(path), path, hour, HITS_A_PATH, 2) for path in paths]
    with psycopg.connect(url.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
        cursor.execute(INCOMING)
        with cursor.copy("COPY incoming FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        for statement in statements:
            cursor.execute(statement)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
