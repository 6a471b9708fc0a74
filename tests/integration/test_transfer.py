"""An export holds everything, an import adds it once, on each database and from one to another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from pathhits import PathHits
from pathhits.errors import PathHitsError
from pathhits.storage.sql import tables, transfer
from pathhits.storage.sql.transfer import PARTS

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
    """Every row of every table that travels, without ids, which are each database's own."""
    lines = list(hits.export_lines())[1:-1]
    found: dict[str, list[Any]] = {part.name: [] for part in PARTS}
    for line in map(json.loads, lines):
        found[line["table"]] += [json.dumps([line["of"], *row]) for row in line["rows"]]
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
    newer = {"format": "pathhits-export", "version": 2, "id": "0" * 32}
    known = newer | {"version": 1}
    for lines, says in (
        ([], "none of an export"),
        (["nonsense"], "none of an export"),
        (["{}"], "no export"),
        ([json.dumps(newer)], "newer than this pathhits knows"),
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
