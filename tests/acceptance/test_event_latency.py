"""A view is in the event log seconds after it happened, however rarely counts are moved into SQL otherwise."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pathhits import PathHits
from pathhits.storage.sql import tables
from tests.faults.writer import BROWSER
from tests.servers.processes import Process, wait_until

ROOT = Path(__file__).resolve().parents[2]
VIEWS = 4

# A real clock and a real worker, at their own pace; which database it is has no part in it.
pytestmark = pytest.mark.slow


def test_a_view_is_in_sql_long_before_the_next_regular_sync(
    redis_url: str, postgresql_url: str, start_process: Callable[..., Process]
) -> None:
    env = {**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": postgresql_url, "PYTHONPATH": str(ROOT)}
    env |= {"PATHHITS_SYNC_EVERY": "86400", "PATHHITS_NAMESPACE": "latency"}
    hits = PathHits(redis_url=redis_url, database_url=postgresql_url, namespace="latency", request_deadline=20.0)
    hits.migrate()
    hits.register_item("product")
    for part in ("worker", "clock"):
        start_process([sys.executable, "-m", "pathhits", part], env=env, cwd=ROOT)

    def logged() -> int:
        with hits.engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(tables.events)).scalar_one())

    waits = []
    for number in range(1, VIEWS + 1):
        assert hits.track_view("product", number, ip="203.0.113.7", user_agent=BROWSER)
        began = time.monotonic()
        wait_until(lambda n=number: logged() >= n, 60.0, f"view {number} is in SQL")  # type: ignore[misc]  # mypy reads no defaults
        waits.append(time.monotonic() - began)
        time.sleep(0.37)  # so that views fall differently between the passes of flusher and clock
    print(f"\nfrom view to row: median {statistics.median(waits):.2f} s, longest {max(waits):.2f} s")
    assert logged() == VIEWS
    hits.close()


def test_a_listener_is_called_seconds_after_the_view(
    redis_url: str, postgresql_url: str, tmp_path: Path, start_process: Callable[..., Process]
) -> None:
    heard = tmp_path / "heard"
    (tmp_path / "listening_shop.py").write_text(LISTENING_SHOP)
    env = {**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": postgresql_url, "HEARD": str(heard)}
    env |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "PATHHITS_APP": "listening_shop:hits"}
    hits = PathHits(redis_url=redis_url, database_url=postgresql_url, request_deadline=20.0)
    hits.migrate()
    hits.register_item("product")
    for part in ("worker", "clock"):
        start_process([sys.executable, "-m", "pathhits", part], env=env, cwd=ROOT)
    wait_until(lambda: bool(hits.deliveries.listeners()), 60.0, "the worker made the listener known")

    def called() -> list[str]:
        return heard.read_text().split() if heard.exists() else []

    waits = []
    for number in range(1, VIEWS + 1):
        assert hits.track_view("product", number, ip="203.0.113.7", user_agent=BROWSER)
        began = time.monotonic()
        wait_until(lambda n=number: len(called()) >= n, 60.0, f"view {number} was heard")  # type: ignore[misc]  # mypy reads no defaults
        waits.append(time.monotonic() - began)
        time.sleep(0.37)  # so that views fall differently between the passes of flusher and clock
    print(f"\nfrom view to listener: median {statistics.median(waits):.2f} s, longest {max(waits):.2f} s")
    assert called() == [str(number) for number in range(1, VIEWS + 1)]
    hits.close()


LISTENING_SHOP = """
import os
from pathhits import PathHits

hits = PathHits()

@hits.on("product.*")
def hear(event):
    with open(os.environ["HEARD"], "a") as file:
        file.write(f"{event.item_id}\\n")
"""
