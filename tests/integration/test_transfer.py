"""An export holds everything, an import adds it once, on each database and from one to another."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from pathhits import PathHits
from pathhits.errors import PathHitsError
from pathhits.storage.sql import tables, transfer
from pathhits.storage.sql.transfer import BY_NAME, PARTS
from tests.integration.logbook import DAY_MS, put_views, rows_of

Make = Callable[[str, str], PathHits]


@pytest.fixture
def make(redis_url: str) -> Iterator[Make]:
    made = []

    def make(url: str, namespace: str) -> PathHits:
        hits = PathHits(redis_url=redis_url, database_url=url, namespace=namespace, request_deadline=60.0)
        hits.migrate()
        made.append(hits)
        return hits

    yield make
    for hits in made:
        hits.close(0.1)


def fill(hits: PathHits) -> None:
    for n in range(30):
        hits.track_hit(f"/page {n % 7} <\u202e{'ä' * 200}>")
    for n in range(1, 6):
        hits.track_view("product", n, ip=f"192.0.2.{n}", user_agent="Mozilla/5.0 Firefox/130.0")
        hits.track("product.liked", n, properties={"n": '"\\\n'}, ip=f"192.0.2.{n}", user_agent="Mozilla/5.0 Firefox/1")
    hits.track("search.performed", properties={"query": "tea", "results": 3}, ip="192.0.2.1", user_agent="Firefox")
    hits.flush()
    hits.sync()


def contents(hits: PathHits) -> dict[str, list[Any]]:
    """Every row of every table that travels, without what is each database's own: ids, and when it was changed."""
    lines = list(hits.export_lines())[1:-1]
    found: dict[str, list[Any]] = {part.name: [] for part in PARTS}
    for line in map(json.loads, lines):
        names = BY_NAME[line["table"]].columns
        rows = [{name: value for name, value in zip(names, row, strict=True) if name != "updated_at"}
                for row in line["rows"]]  # fmt: skip
        found[line["table"]] += [json.dumps([line["of"], row]) for row in rows]
    return {name: sorted(rows) for name, rows in found.items()}


def test_what_is_imported_is_what_was_exported(make: Make, database_url: str, sqlite_url: str) -> None:
    there = make(sqlite_url.replace("test.db", "other.db"), "there")
    fill(there)
    lines = list(there.export_lines())
    here = make(database_url, "here")
    added, known = here.import_lines(lines)
    assert (added > 40, known) == (True, 0)
    assert contents(here) == contents(there)
    assert here.import_lines(lines) == (0, added)
    assert contents(here) == contents(there)
    assert here.verify().ok
    # And from each database back to SQLite.
    back = make(sqlite_url.replace("test.db", "back.db"), "back")
    back.import_lines(here.export_lines())
    assert contents(back) == contents(there)


def test_an_import_adds_to_what_is_here(make: Make, database_url: str, sqlite_url: str) -> None:
    there, here = make(sqlite_url.replace("test.db", "other.db"), "there"), make(database_url, "here")
    fill(there)
    fill(here)
    here.import_lines(there.export_lines())
    assert here.total() == 60
    assert here.view_count("product", 1) == 2
    assert here.counter("product", 1, "likes") == 2
    assert here.verify().ok


def test_an_import_that_was_cut_off_is_finished_by_the_whole_file(
    make: Make, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "LINES_A_CHUNK", 3)
    there, here = make(sqlite_url.replace("test.db", "other.db"), "there"), make(sqlite_url, "here")
    fill(there)
    lines = list(there.export_lines())
    for length in (1 + 3 * 4, 1 + 3 * 7):
        with pytest.raises(PathHitsError, match="cut off"):
            here.import_lines(lines[:length])
    here.import_lines(lines)
    assert contents(here) == contents(there)


def test_what_is_no_export_is_refused_in_a_line(make: Make, sqlite_url: str) -> None:
    hits = make(sqlite_url, "here")
    newer = {"format": "pathhits-export", "version": 3, "id": "0" * 32, "databases": ["f" * 32]}
    known = newer | {"version": 2}
    for lines, says in (
        ([], "none of an export"),
        (["nonsense"], "none of an export"),
        (["{}"], "no export"),
        ([json.dumps(newer)], "newer than this pathhits knows"),
        ([json.dumps(known | {"databases": []})], "does not say of which database"),
        ([json.dumps(known | {"databases": ["'"]})], "does not say of which database"),
        ([json.dumps(known), '{"table": "users", "rows": []}'], "none of an export"),
        ([json.dumps(known), '{"table": "path_counters", "of": null, "rows": [["x"]]}'], "makes no sense"),
        ([json.dumps(known)], "cut off"),
    ):
        with pytest.raises(PathHitsError, match=says):
            hits.import_lines(lines)
    assert contents(hits)["path_counters"] == []
    with hits.engine.connect() as connection:
        assert connection.execute(select(tables.ledger)).all() == []


def test_every_table_travels_or_is_known_not_to() -> None:
    stays = {"ledger", "listeners", "deliveries", "snapshots", "api_keys", "also_viewed", "positions", "sinks"}
    stays |= {"path_years", "item_years", "rolled_months"}
    travels = {part.name.removeprefix("pathhits_") for part in PARTS}
    assert {name.removeprefix("pathhits_") for name in tables.metadata.tables} == travels | stays
    for part in PARTS:
        columns = {*part.columns, part.owned_by} - {"", part.second_by} | {part.second_by} - {""}
        kept = {"id"} if part.table is not tables.events else set()
        assert {column.name for column in part.table.c} - columns <= kept | {"recent_at"}


# Whose counts they are.


def numbers(hits: PathHits) -> tuple[int, ...]:
    """Hits, views, likes and events as they are."""
    views, likes = int(hits.view_count("product", 1)), int(hits.counter("product", 1, "likes"))
    return int(hits.total()), views, likes, len(rows_of(hits, tables.events))


def refused(hits: PathHits, lines: list[str], says: str) -> None:
    """That the import is refused in one line, and changes nothing."""
    before = contents(hits), rows_of(hits, tables.ledger), rows_of(hits, tables.positions)
    with pytest.raises(PathHitsError, match=says) as error:
        hits.import_lines(lines)
    assert "\n" not in str(error.value)
    assert "empty database" in str(error.value)
    assert (contents(hits), rows_of(hits, tables.ledger), rows_of(hits, tables.positions)) == before
    assert hits.verify().ok


def test_an_export_of_the_own_database_is_refused(make: Make, database_url: str) -> None:
    here = make(database_url, "here")
    fill(here)
    before = numbers(here)
    refused(here, list(here.export_lines()), "this very database")
    assert numbers(here) == before


def test_a_second_export_of_one_database_is_refused(make: Make, database_url: str, sqlite_url: str) -> None:
    there, here = make(sqlite_url.replace("test.db", "other.db"), "there"), make(database_url, "here")
    fill(there)
    fill(here)
    first = list(there.export_lines())
    here.import_lines(first)
    before = numbers(here)
    there.track_hit("later")
    there.flush()
    there.sync()
    refused(here, list(there.export_lines()), "imported here before")
    assert here.import_lines(first)[0] == 0
    assert numbers(here) == before


def test_who_imported_a_database_stands_for_it(make: Make, database_url: str, sqlite_url: str) -> None:
    one, two = make(sqlite_url.replace("test.db", "one.db"), "one"), make(database_url, "two")
    three = make(sqlite_url.replace("test.db", "three.db"), "three")
    for hits in (one, two, three):
        fill(hits)
    of_one = list(one.export_lines())
    two.import_lines(of_one)
    of_both = list(two.export_lines())
    refused(one, of_both, "this very database")
    three.import_lines(of_both)
    refused(three, of_one, "imported here before")
    refused(one, list(three.export_lines()), "this very database")
    refused(two, list(three.export_lines()), "this very database")
    assert three.total() == 90


def test_a_copy_of_a_database_is_the_same_one(make: Make, sqlite_url: str, tmp_path: Path) -> None:
    here = make(sqlite_url, "here")
    fill(here)
    with here.engine.connect() as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    copy = make(f"sqlite:///{tmp_path / 'copy.db'}", "copy")
    fill(copy)
    refused(here, list(copy.export_lines()), "this very database")


def test_an_empty_database_takes_everything_in(make: Make, sqlite_url: str) -> None:
    here, there = make(sqlite_url, "here"), make(sqlite_url.replace("test.db", "other.db"), "there")
    there.import_lines(list(here.export_lines()))  # nothing
    fill(here)
    lines = list(here.export_lines())
    there.import_lines(lines)
    assert contents(there) == contents(here)
    refused(there, list(here.export_lines()), "imported here before")


def test_a_file_that_does_not_say_whose_it_is_goes_into_an_empty_database_alone(
    make: Make, database_url: str, sqlite_url: str
) -> None:
    there, here = make(sqlite_url.replace("test.db", "other.db"), "there"), make(database_url, "here")
    fill(there)
    lines = list(there.export_lines())
    head = json.loads(lines[0]) | {"version": 1, "id": "f" * 32}
    del head["databases"]
    old = [json.dumps(head), *lines[1:]]
    here.import_lines(old)
    assert contents(here) == contents(there)
    assert here.import_lines(old)[0] == 0
    refused(here, lines, "did not say")
    refused(there, list(here.export_lines()), "does not say")
    refused(there, old, "does not say")


def test_an_import_of_before_databases_had_an_identity_is_known(make: Make, sqlite_url: str) -> None:
    there, here = make(sqlite_url.replace("test.db", "other.db"), "there"), make(sqlite_url, "here")
    fill(there)
    here.import_lines(list(there.export_lines()))
    with here.engine.begin() as connection:
        connection.execute(delete(tables.positions))
    here.migrate()
    refused(here, list(there.export_lines()), "did not say")
    others = json.loads(next(iter(here.export_lines())))["databases"][1:]
    assert others == ["0" * 32]


def test_of_two_imports_at_once_each_chunk_is_taken_once(make: Make, database_url: str, sqlite_url: str) -> None:
    there, here = make(sqlite_url.replace("test.db", "other.db"), "there"), make(database_url, "here")
    fill(there)
    lines, more = list(there.export_lines()), list(there.export_lines())
    with ThreadPoolExecutor(2) as pool:
        taken = [one.result() for one in [pool.submit(here.import_lines, lines) for _ in range(2)]]
    assert taken[0][0] + taken[1][0] == sum(taken[0])
    assert contents(here) == contents(there)
    refused(here, more, "imported here before")


def test_an_export_is_of_one_moment(make: Make, database_url: str, sqlite_url: str) -> None:
    here, back = make(database_url, "here"), make(sqlite_url.replace("test.db", "back.db"), "back")
    fill(here)
    before = contents(here)
    lines = iter(here.export_lines())
    first = [next(lines) for _ in range(2)]
    fill(here)
    back.import_lines([*first, *lines])
    assert contents(back) == before
    assert contents(here) != before


def test_an_item_that_is_hot_in_both_has_one_history(
    make: Make, database_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = make(sqlite_url.replace("test.db", "other.db"), "there"), make(database_url, "here")
    now = time.time_ns() // 1_000_000
    # Days before now at which views come, 100 each time: what cools is counted again eight days later.
    histories = {"both": ((1,), (1,)), "cold": ((30, 1), (20,)), "ours": ((), (1,)), "theirs": ((40, 20, 1), ())}
    for at, hits in enumerate((there, here)):
        for days in sorted({day for both in histories.values() for day in both[at]}, reverse=True):
            for item, both in histories.items():
                if days in both[at]:
                    put_views(hits, f"product:{item}", [(now - days * DAY_MS, n + at * 1_000) for n in range(1, 101)])
            for later in (0, 8) if days > 8 else (0,):
                hits.refresh_items(datetime.fromtimestamp(now / 1000 - (days - later) * 86_400 + at * 60, UTC))
        assert hits.verify().ok, hits.verify()
    here.import_lines(there.export_lines())
    assert here.verify().ok, [one for one in here.verify().checks if not one.holds]
    here.refresh_items()
    assert here.verify().ok
    assert {row["item"]: row["is_hot"] for row in rows_of(here, tables.items)} == {
        "product:both": 1, "product:cold": 1, "product:ours": 1, "product:theirs": 1,
    }  # fmt: skip
    monkeypatch.setattr(transfer, "ROWS_A_LINE", 1)
    monkeypatch.setattr(transfer, "LINES_A_CHUNK", 1)
    back = make(sqlite_url.replace("test.db", "back.db"), "back")
    back.import_lines(there.export_lines())
    assert contents(back) == contents(there)
    assert back.verify().ok


def test_a_visitor_in_both_is_one_after_a_recount(make: Make, database_url: str, sqlite_url: str) -> None:
    there, here = make(sqlite_url.replace("test.db", "other.db"), "there"), make(database_url, "here")
    now = time.time_ns() // 1_000_000
    put_views(there, "product:1", [(now - 60_000 - n, visitor) for n, visitor in enumerate((1, 2, 3))])
    put_views(here, "product:1", [(now - n, visitor) for n, visitor in enumerate((3, 4))])
    here.import_lines(there.export_lines())
    assert here.item_stats("product", 1).visitors == 5
    here.recount()
    assert here.item_stats("product", 1).visitors == 4
    assert here.verify().ok
