"""What is asked for each page and each run goes through an index on PostgreSQL, however long the log is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from pathhits import PathHits
from pathhits.storage.sql.hotness import Hotness, _recent_views
from pathhits.storage.sql.retention import Retention

ITEMS, EVENTS, DAYS = 300, 30_000, 60
NOW = time.time_ns() // 1_000_000
DAY_MS = 86_400_000

FILL = (
    "INSERT INTO pathhits_items"
    " (item_key, item, item_type, view_count, created_at, updated_at, recent_at, recent_views)"
    " SELECT sha256(convert_to('product:' || n, 'UTF8')), 'product:' || n, 'product', 100, now(), now(), :now, 10"
    " FROM generate_series(1, :items) n",
    "INSERT INTO pathhits_events (id, name, item_id, visitor, properties, moment)"
    " SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'product.viewed', 1 + n % :items, n % 997, '',"
    " :now - (n::bigint * :days * 86400000 / :events) FROM generate_series(1, :events) n",
    "INSERT INTO pathhits_item_days (item_id, day, views, visitors)"
    " SELECT i, d, 1, 1 FROM generate_series(1, :items) i,"
    " generate_series(:now / 86400000 - :days, :now / 86400000) d",
    "INSERT INTO pathhits_item_counters (item_id, counter, total)"
    " SELECT i, 'c' || c, 1 FROM generate_series(1, :items) i, generate_series(1, 20) c",
    "ANALYZE",
)


@pytest.fixture
def hits(redis_url: str, postgresql_url: str) -> Iterator[PathHits]:
    """A site with many items and a long log."""
    hits = PathHits(redis_url=redis_url, database_url=postgresql_url)
    hits.migrate()
    numbers = {"items": ITEMS, "events": EVENTS, "days": DAYS, "now": NOW}
    with hits.engine.begin() as connection:
        for statement in FILL:
            connection.execute(text(statement), {k: v for k, v in numbers.items() if f":{k}" in statement})
    yield hits
    hits.close(0.1)


def plans(hits: PathHits, ask: Callable[[], Any]) -> list[str]:
    """The plan of each statement that ``ask`` executes."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            asked.append((statement, parameters))

    event.listen(hits.engine, "before_cursor_execute", note)
    ask()
    event.remove(hits.engine, "before_cursor_execute", note)
    with hits.engine.connect() as connection:
        return [
            "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))
            for statement, parameters in asked
            if not isinstance(parameters, list)
        ]


def test_the_page_of_an_item(hits: PathHits) -> None:
    [plan] = plans(hits, lambda: hits.item_reads.item_stats("product", 7))
    assert "ix_pathhits_events_item_moment" in plan, plan
    assert "pathhits_items_item_key_key" in plan, plan
    assert "pathhits_item_days_pkey" in plan, plan
    assert "pathhits_item_counters_pkey" in plan, plan
    assert "Seq Scan" not in plan, plan


def test_views_of_the_last_seven_days(hits: PathHits) -> None:
    class Row:
        def __init__(self, id: int) -> None:
            self.id, self.item_type = id, "product"

    def count() -> None:
        with hits.engine.connect() as connection:
            assert len(_recent_views(connection, [Row(n) for n in (1, 2, 3, 4, 5)], NOW)) == 5

    [plan] = plans(hits, count)
    assert "ix_pathhits_events_item_moment" in plan, plan
    assert "Seq Scan" not in plan, plan


def test_what_is_due(hits: PathHits) -> None:
    hotness = Hotness(hits.engine)
    with hits.engine.begin() as connection:
        connection.execute(text("UPDATE pathhits_items SET recent_at = 0 WHERE id = 5"))
        connection.execute(text("UPDATE pathhits_items SET is_hot = 1 WHERE id = 7"))
    with hits.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    [touched] = plans(hits, lambda: hotness.due("touched", NOW, 200))
    assert "ix_pathhits_items_recent_at" in touched, touched
    [hot] = plans(hits, lambda: hotness.due("hot", NOW + 1, 200))
    assert "ix_pathhits_items_is_hot" in hot, hot
    [listed] = plans(hits, lambda: hits.item_reads.hot_items("product"))
    assert "ix_pathhits_items_is_hot" in listed, listed


def test_old_events(hits: PathHits) -> None:
    chosen, deleted = plans(hits, lambda: Retention(hits.engine).prune_events(NOW - 50 * DAY_MS, 100))
    assert "ix_pathhits_events_moment" in chosen, chosen
    assert "pathhits_events_pkey" in deleted, deleted


def test_what_waits_for_a_listener_beside_the_long_queue_of_another(hits: PathHits) -> None:
    with hits.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text(
                "INSERT INTO pathhits_deliveries (event_id, listener, due_at, error)"
                " SELECT id, 'slow', moment, '' FROM pathhits_events"
            )
        )
        connection.execute(text("ANALYZE"))
    [waiting] = plans(hits, lambda: hits.deliveries.waiting(["quick", "slow"], NOW))
    assert waiting.count("ix_pathhits_deliveries_listener") == 2, waiting
    assert "Seq Scan" not in waiting, waiting
    [taken] = plans(hits, lambda: hits.deliveries.take(["quick"], NOW, 30_000, 20, lost=False))
    assert "ix_pathhits_deliveries_listener" in taken, taken


def test_an_apps_query_in_the_order_of_views(hits: PathHits) -> None:
    from sqlalchemy import Column, Integer, MetaData, Table, select

    shop = Table("shop", MetaData(), Column("id", Integer, primary_key=True))
    shop.create(hits.engine)
    query = hits.order_by_views(select(shop.c.id), shop.c.id, "product").limit(5)

    def ask() -> None:
        with hits.engine.connect() as connection:
            connection.execute(query)

    [plan] = plans(hits, ask)
    assert "ix_pathhits_items_item" in plan, plan


# Values.

_VALUES = (
    "INSERT INTO path_counters (path_key, path, hit_count, created_at, updated_at)"
    " SELECT sha256(convert_to('/' || n, 'UTF8')), '/' || n, 100, now(), now() FROM generate_series(1, 300) n",
    "INSERT INTO pathhits_values (value_key, dimension, value, hit_count)"
    " SELECT sha256(convert_to('browser' || chr(31) || 'b' || n, 'UTF8')), 'browser', 'b' || n, 100"
    " FROM generate_series(1, 60) n",
    "INSERT INTO pathhits_value_days (dimension_id, day, value_id, hits)"
    " SELECT 4, :now / 86400000 - d, v, 5 FROM generate_series(0, 400) d, generate_series(1, 60) v",
    "INSERT INTO pathhits_path_value_days (path_id, dimension_id, day, value_id, hits)"
    " SELECT p, 4, :now / 86400000 - d, 1 + (p + d * 7 + v) % 60, 1"
    " FROM generate_series(1, 300) p, generate_series(0, 100) d, generate_series(1, 3) v",
    "ANALYZE",
)


def test_values_of_the_site_and_of_a_label_and_the_labels_of_a_value(hits: PathHits) -> None:
    with hits.engine.begin() as connection:
        for statement in _VALUES:
            connection.execute(text(statement), {"now": NOW} if ":now" in statement else {})
    until = datetime.now(UTC)
    since = until - timedelta(days=7)
    day = ("browser", "b7")
    for ask, index in (
        (lambda: hits.top_values("browser", since, until), "pathhits_value_days_pkey"),
        (lambda: hits.top_values("browser", since, until, label="/7"), "pathhits_path_value_days_pkey"),
        (lambda: hits.top_paths(since, until, where=day), "ix_pathhits_path_value_days_value"),
        (lambda: hits.series("hits", since, until, "day", where=day), "ix_pathhits_value_days_value"),
        (lambda: hits.series("hits", since, until, "day", label="/7", where=day), "path_value_days"),
        (lambda: Retention(hits.engine).prune_values(NOW // DAY_MS - 99, 100), "ix_pathhits_path_value_days_day"),
    ):
        plan = "\n".join(plans(hits, ask))
        assert index in plan, plan
        assert "Seq Scan on pathhits_value_days" not in plan, plan
        assert "Seq Scan on pathhits_path_value_days" not in plan, plan
