"""Searches are counted by query exactly once, apart where they found nothing, and outlive the event log."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select, text
from werkzeug.test import run_wsgi_app

from pathhits import PathHits
from pathhits.cli import group
from pathhits.core.periods import hour_start
from pathhits.core.retention import DAY_MS, SEARCH_VISITOR_DAYS
from pathhits.core.searches import normalised
from pathhits.events import Logged, new_id
from pathhits.hits import OTHER
from pathhits.jobs.sync import sort_out
from pathhits.storage.sql import tables
from pathhits.storage.sql.ledger import Ledger
from pathhits.testing import counting
from tests.faults.writer import BOT, BROWSER
from tests.integration.conftest import made
from tests.integration.test_event_log import logged
from tests.integration.test_plans import plans

#: 2026-03-28 12:00 UTC, in milliseconds.
NOON = 1_774_699_200_000
HOUR_MS = 3_600_000
GUEST: dict[str, Any] = {"ip": "203.0.113.7", "user_agent": BROWSER}
OTHER_GUEST: dict[str, Any] = {"ip": "203.0.113.8", "user_agent": BROWSER}


def moved(hits: PathHits) -> None:
    assert hits.flush()
    hits.sync()


def said(query: str, moment: int, visitor: int = 0, results: int | None = None, entity_type: str = "") -> Logged:
    properties = {"query": query} | ({} if results is None else {"result_count": results})
    properties |= {"entity_type": entity_type} if entity_type else {}
    return Logged(new_id(moment), "search.performed", "", visitor, "", "", "", json.dumps(properties), moment)


def take_in(hits: PathHits, generation: str, events: list[Logged], most: int = 10_000) -> bool:
    contents = sort_out(generation, {}, [f"[{','.join(event.text() for event in events)}]".encode()])
    return Ledger(hits.engine, max_searches=most).apply(contents, {}).new


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def test_a_search_is_logged_with_all_that_was_said_of_it_and_counts_by_its_query(hits: PathHits) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert hits.track_search("Blue  JUG", {"colour": "blue"}, 4, "product", **GUEST, user_id="anna")
    assert hits.track_search("blue jug", result_count=7, entity_type="product", **OTHER_GUEST)
    assert hits.track_search("blue jug", entity_type="product", **GUEST)
    # The contract's way ends in the same place.
    assert hits.track("search.performed", properties={"query": "BLUE jug", "entity_type": "product"}, **GUEST)
    assert hits.track_search("unicorn", result_count=0, **GUEST)
    assert hits.track_search("   ", result_count=3)
    moved(hits)
    [row] = [row for row in logged(hits.engine) if row["user_id"]]
    assert (row["name"], row["item"]) == ("search.performed", None)
    assert json.loads(row["properties"]) == {
        "query": "Blue JUG", "filters": {"colour": "blue"}, "result_count": 4, "entity_type": "product",
    }  # fmt: skip
    assert row["visitor"] != 0
    assert len(row["user_id"]) == 16
    [jug] = hits.popular_searches()
    assert (jug.query, jug.searches, jug.visitors, jug.average_results) == ("blue jug", 4, 2, 5.5)
    assert jug.entity_type == "product"
    assert before <= jug.last_at <= datetime.now(UTC)
    [unicorn] = hits.failed_searches()
    assert (unicorn.query, unicorn.searches, unicorn.visitors, unicorn.average_results) == ("unicorn", 1, 1, 0.0)
    assert hits.verify().ok


def test_a_search_inside_a_request_is_its_visitors(small: PathHits) -> None:
    def shop(environ: Any, start_response: Any) -> list[bytes]:
        small.track_search(environ["QUERY_STRING"], result_count=1)
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"x"]

    app = small.wsgi(shop)
    for address in ("203.0.113.7", "203.0.113.7", "203.0.113.8"):
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": "/search", "QUERY_STRING": "jug", "REMOTE_ADDR": address,
            "HTTP_USER_AGENT": BROWSER, "SERVER_NAME": "x", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
        }  # fmt: skip
        run_wsgi_app(app, environ, buffered=True)
    moved(small)
    [jug] = small.popular_searches()
    assert (jug.searches, jug.visitors) == (3, 2)


def test_a_setting_logs_only_searches_that_found_something(redis_url: str, sqlite_url: str) -> None:
    hits = made(redis_url, sqlite_url, search_log="with_results")
    hits.migrate()
    assert hits.track_search("unicorn", result_count=0).reason == "no_results"
    assert hits.track("search.performed", properties={"query": "unicorn", "result_count": 0}).reason == "no_results"
    assert hits.track_search("jug", result_count=1)
    assert hits.track_search("cup")
    assert hits.track_search("cup", **GUEST | {"user_agent": BOT}).reason == "bot"
    moved(hits)
    assert [row.query for row in hits.popular_searches()] == ["cup", "jug"]
    assert hits.failed_searches() == []
    assert hits.drops() == {}
    assert hits.stats.refusals() == {"search:no_results": 2, "search:bot": 1}
    assert len(logged(hits.engine)) == 2
    hits.close(0.1)


def test_whatever_a_visitor_searches_for_arrives(hits: PathHits) -> None:
    queries = ["\\N", "\t{a}\\", "\"quoted\", 'too'", "😀" * 600, "a\0b", "\ud800", "100%", "%s ? :x", "ı İ ß", "%(a)s"]
    for query in queries:
        hits.track_search(query, result_count=1)
    moved(hits)
    assert {row.query for row in hits.popular_searches(limit=100)} == {normalised(query) for query in queries}
    assert hits.stats.searches()[0].searches == 1


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_a_model_whatever_the_order_and_however_often(hits: PathHits, seed: int) -> None:
    chance = random.Random(seed)
    words = ["jug", "Jug ", "cup", "CUP", "blue jug", "é", "e\u0301", "unicorn"]
    events = [
        said(
            chance.choice(words),
            NOON + chance.randrange(-3 * DAY_MS, 3 * DAY_MS),
            chance.choice([0, 1, 2, 3, 2**62]),
            chance.choice([None, 0, 1, 5]),
            chance.choice(["", "movie"]),
        )
        for _ in range(400)
    ]
    generations = [events[n : n + 50] for n in range(0, 400, 40)]  # some events are in two of them
    chance.shuffle(generations)
    for n, some in enumerate(generations):
        assert take_in(hits, f"g{n}", some)
        assert not take_in(hits, f"g{n}", some)
    for _ in range(12):
        since, until = sorted(NOON // HOUR_MS + chance.randrange(-80, 80) for _ in range(2))
        failed, kind = chance.random() < 0.5, chance.choice([None, "", "movie"])
        ask = hits.failed_searches if failed else hits.popular_searches
        found = ask(hour_start(since), 5, until=hour_start(until), entity_type=kind)
        assert [tuple(getattr(row, name) for name in row.__slots__) for row in found] == model(
            events, since, until, failed, kind
        )
    everything = model(events, -(10**6), 10**7, False, None)
    assert [(row.query, row.searches, row.visitors) for row in hits.popular_searches()] == [
        row[:3] for row in everything
    ][:10]
    assert hits.verify().ok


def model(events: list[Logged], since: int, until: int, failed: bool, kind: str | None) -> list[tuple[Any, ...]]:
    """The first five rows (or ten, without a period), the plain way."""
    counts: Counter[tuple[str, str]] = Counter()
    results, last = defaultdict[tuple[str, str], list[int]](list), Counter[tuple[str, str]]()
    seen = defaultdict[tuple[str, str], set[tuple[int, int]]](set)
    for event in events:
        found = json.loads(event.properties)
        key = normalised(found["query"]), found.get("entity_type", "")
        if (found.get("result_count") == 0) != failed or kind not in (None, key[1]):
            continue
        last[key] = max(last[key], event.moment)
        day = event.moment // DAY_MS
        if event.visitor and since // 24 <= day <= (until - 1) // 24:
            seen[key].add((day, event.visitor))
        if since <= event.moment // HOUR_MS < until:
            counts[key] += 1
            results[key] += [found["result_count"]] if "result_count" in found else []
    best = sorted(counts, key=lambda key: (-counts[key], key))[: 10 if until == 10**7 else 5]
    return [
        (
            key[0],
            counts[key],
            min(len(seen[key]), counts[key]),
            sum(results[key]) / len(results[key]) if results[key] else None,
            moment(last[key]),
            key[1],
        )
        for key in best
    ]


def test_two_syncs_at_once_count_a_visitor_of_a_query_once(hits: PathHits) -> None:
    lots = [[said(f"q{n % 7}", NOON + n, visitor=n % 11, results=n % 3) for n in range(100)] for _ in range(8)]

    def work(first: int) -> None:
        for n in range(first, len(lots), 4):
            assert take_in(hits, f"g{n}", lots[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everyone = [event for lot in lots for event in lot]
    assert [(row.query, row.searches, row.visitors) for row in hits.popular_searches()] == [
        row[:3] for row in model(everyone, 0, 10**7, False, None)
    ]
    assert hits.verify().ok


def test_a_day_counts_so_many_queries_apart_and_the_rest_together(hits: PathHits) -> None:
    assert take_in(hits, "a", [said("jug", NOON), said("cup", NOON + 1), said("tea", NOON + 2)], most=2)
    assert take_in(hits, "b", [said(f"bot {n}", NOON + n, 5) for n in range(50)] + [said("cup", NOON + 60)], most=2)
    assert take_in(hits, "c", [said("tomorrow", NOON + DAY_MS)], most=2)
    assert {row.query: row.searches for row in hits.popular_searches()} == {
        OTHER: 51, "cup": 2, "jug": 1, "tomorrow": 1,
    }  # fmt: skip
    assert hits.popular_searches()[0].visitors == 1
    assert hits.verify().ok
    assert queries_stored(hits) == 4


def queries_stored(hits: PathHits) -> int:
    with hits.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(tables.searches)) or 0


def test_the_cap_is_a_setting_and_holds_in_a_sync(redis_url: str, sqlite_url: str) -> None:
    hits = made(redis_url, sqlite_url, max_searches=3)
    hits.migrate()
    for n in range(9):
        hits.track_search(f"query {n}", result_count=1)
    moved(hits)
    assert sorted(row.searches for row in hits.popular_searches()) == [1, 1, 1, 6]
    hits.close(0.1)


def test_what_makes_no_sense_is_logged_and_counted_nowhere(hits: PathHits) -> None:
    odd = [said("x", NOON)._replace(properties=text) for text in ("", "[]", "{", '{"query":7}', "[" * 9_000)]
    assert take_in(hits, "g", [*odd, said("jug", NOON)])
    assert [row.query for row in hits.popular_searches()] == ["jug"]
    assert len(logged(hits.engine)) == 6


def test_figures_outlive_the_log_and_who_searched_does_not(hits: PathHits) -> None:
    assert take_in(hits, "g", [said("jug", NOON, 5, 2), said("jug", NOON + 1, 6, 0)])
    before = hits.popular_searches(), hits.failed_searches()
    report = hits.prune(moment(NOON + SEARCH_VISITOR_DAYS * DAY_MS))
    assert (report.search_visitors, report.events) == (0, 0)
    report = hits.prune(moment(NOON + 200 * DAY_MS))
    assert (report.search_visitors, report.events) == (2, 2)
    assert (hits.popular_searches(), hits.failed_searches()) == before
    assert before[0][0].visitors == 1
    assert hits.verify().ok


def test_verify_says_when_the_sums_of_searches_disagree(small: PathHits) -> None:
    assert take_in(small, "g", [said("jug", NOON)])
    with small.engine.begin() as connection:
        connection.execute(text("UPDATE pathhits_search_days SET searches = 2"))
    assert [check.name for check in small.verify().checks if not check.holds] == ["days of searches = searches"]


def test_the_command_prints_popular_and_failed_searches(small: PathHits) -> None:
    run = CliRunner()
    assert "No search was logged yet" in run.invoke(group, ["searches"], obj=small).output
    assert "No search failed" in run.invoke(group, ["searches", "--failed"], obj=small).output
    small.track_search("blue [jug]", result_count=4, entity_type="product", **GUEST)
    small.track_search("unicorn", result_count=0)
    moved(small)
    printed = run.invoke(group, ["searches", "--since", "1d"], obj=small)
    assert (printed.exit_code, "blue [jug]" in printed.output, "unicorn" in printed.output) == (0, True, False)
    assert "4.0" in printed.output
    assert "unicorn" in run.invoke(group, ["searches", "--failed"], obj=small).output
    [row] = json.loads(run.invoke(group, ["searches", "--json", "--entity-type", "product"], obj=small).output)
    assert (row["query"], row["searches"], row["visitors"], row["average_results"]) == ("blue [jug]", 1, 1, 4.0)
    assert json.loads(run.invoke(group, ["searches", "--json", "--until", "2d"], obj=small).output) == []
    assert "No such search was logged" in run.invoke(group, ["searches", "--until", "2d"], obj=small).output


def test_searches_are_counted_in_memory_too() -> None:
    hits = PathHits(redis_url="redis://127.0.0.1:1/0")
    with counting(hits, at=moment(NOON)) as counted:
        hits.track_search("Jug", result_count=3, **GUEST)
        hits.track_search("jug", result_count=1, **GUEST)
        hits.track_search("unicorn", result_count=0)
        assert len(counted.events("search.performed")) == 3
        [jug] = hits.popular_searches(moment(NOON), 5)
        assert (jug.query, jug.searches, jug.visitors, jug.average_results, jug.last_at) == (
            "jug", 2, 1, 2.0, moment(NOON),
        )  # fmt: skip
        assert [row.query for row in hits.failed_searches()] == ["unicorn"]
        assert hits.popular_searches(moment(NOON + HOUR_MS)) == []


def test_no_row_is_read_for_nothing(small: PathHits) -> None:
    small.track_search("jug")
    moved(small)
    assert small.popular_searches(limit=0) == []


def test_reads_go_through_indexes(redis_url: str, postgresql_url: str) -> None:
    hits = made(redis_url, postgresql_url)
    hits.migrate()
    with hits.engine.begin() as connection:
        for statement in (
            "INSERT INTO pathhits_searches (search_key, search, failed, search_count, last_at)"
            " SELECT sha256(convert_to('q' || n, 'UTF8')), 'q' || n, n % 2, n, 0 FROM generate_series(1, 20000) n",
            "INSERT INTO pathhits_search_days (search_id, day, searches)"
            f" SELECT n, {NOON // DAY_MS} - n / 20, 1 FROM generate_series(1, 20000) n",
            "INSERT INTO pathhits_search_hours (search_id, hour, searches)"
            f" SELECT n, {NOON // HOUR_MS} - n, 1 FROM generate_series(1, 20000) n",
        ):
            connection.execute(text(statement))
    with hits.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    [plan] = plans(hits, hits.popular_searches)
    assert "ix_pathhits_searches_count" in plan, plan
    assert "Seq Scan" not in plan, plan
    [plan] = plans(hits, lambda: hits.failed_searches(moment(NOON - 2 * DAY_MS - 5 * HOUR_MS)))
    assert "ix_pathhits_search_days_day" in plan, plan
    assert "ix_pathhits_search_hours_hour" in plan, plan
    hits.close(0.1)
