"""What telling hits apart costs: in the flusher, in Redis and in a sync, with all dimensions and with none.

    python -m benchmarks.dimensions [--hits 20000]

Hits come from 170 browsers, six languages and 200 sites, on 50 pages and on 20,000; nearly each of the latter is seen
once. The server is PostgreSQL without fsync.
"""

from __future__ import annotations

import argparse
import random
import time

from pathhits import PathHits
from pathhits.capture.recorder import Entry
from pathhits.settings import DIMENSIONS
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

AGENTS = [f"Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0" for n in range(60, 130)]
AGENTS += [
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0.0.0 Safari/537.36"
    for n in range(60, 160)
]
REFERRERS = [""] * 5 + ["http://shop.test/x"] * 8 + [f"https://site{n}.example/" for n in range(200)]
LANGUAGES = ["de-DE", "en-US,en;q=0.5", "fr", "es", "it", "pl"]
PAGES = (50, 20_000)


def main() -> None:
    """Print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=20_000)
    number = parser.parse_args().hits
    print(f"{'pages':>7} {'dimensions':>11} {'process':>12} {'Redis':>12} {'traits':>8} {'bytes each':>11} {'sync':>8}")
    for pages in PAGES:
        for dimensions in ((), DIMENSIONS):
            measure(pages, dimensions, number)


def measure(pages: int, dimensions: tuple[str, ...], number: int) -> None:
    """Count so many hits and move them into SQL."""
    with RedisServer() as redis, PostgresServer(fsync=False) as postgres, postgres.database() as url:
        hits = PathHits(
            redis_url=redis.url, database_url=url, dimensions=dimensions, flush_interval=3600, buffer_size=200_000
        )
        hits.migrate()
        note(hits, pages, 2_000)  # so that rules are loaded and user agents known
        hits.flush(60)
        hits.sync(force=True)
        started, redis_started = time.process_time(), redis_cpu(hits)
        note(hits, pages, number)
        assert hits.flush(300)
        process, server = time.process_time() - started, redis_cpu(hits) - redis_started
        traits = sum(len(hits.pending.traits(one)) for one in hits.pending.live())
        size = sum(
            hits.redis.memory_usage(hits.keys.generation_traits(one), samples=0) or 0 for one in hits.pending.live()
        )
        seconds = hits.sync(force=True).seconds
        print(
            f"{pages:7,} {len(dimensions):11} {process / number * 1e6:9.1f} us {server / number * 1e6:9.1f} us "
            f"{traits:8,} {size / max(traits, 1):11.0f} {seconds:6.2f} s"
        )
        hits.close()


def note(hits: PathHits, pages: int, number: int) -> None:
    """Have so many hits wait in the buffer."""
    now = time.time()
    for _ in range(number):
        peer, agent = f"203.0.{random.randrange(8)}.{random.randrange(250)}", random.choice(AGENTS)
        label = f"/p{random.randrange(pages)}"
        entry = Entry(
            now, "", label, None, None, "", peer, "", agent, False, referrer=random.choice(REFERRERS), host="shop.test"
        )
        hits.buffer.append(entry._replace(languages=random.choice(LANGUAGES)))


def redis_cpu(hits: PathHits) -> float:
    """Seconds of processor time the server has had."""
    info = hits.redis.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


if __name__ == "__main__":
    main()
