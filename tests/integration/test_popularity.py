"""Popularity reaches columns and sinks: what changed, each sink apart from the others, nothing lost by a failure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import (
    Column,
    Double,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
    text,
    update,
)

from pathhits import ItemPopularity, NotMigrated, PathHits, PathHitsError, SettingsError, tasks
from pathhits.cli import group
from pathhits.core.popularity import Popularity
from pathhits.jobs import popularity as job
from pathhits.jobs.schedule import SCHEDULE
from pathhits.settings import Settings
from pathhits.storage.sql import columnsink, tables, transfer
from pathhits.storage.sql.changes import Changes, Position, SinkStates
from tests.faults.writer import BROWSER
from tests.integration.conftest import made
from tests.integration.logbook import rows_of

metadata = MetaData()
products = Table(
    "products",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", String(80), nullable=False),
    Column("popularity", Double, nullable=False, server_default="0"),
    Column("likes", Integer, nullable=False, server_default="0"),
)


class Sink:
    """Keeps what it gets, and fails when told to."""

    def __init__(self, name: str = "sink") -> None:
        self.name = name
        self.calls: list[list[ItemPopularity]] = []
        self.fails = 0

    def send(self, items: Sequence[ItemPopularity]) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("no room: redis://:secret@host/0")
        self.calls.append(list(items))

    def took(self) -> list[str]:
        """The items since this was asked the last time."""
        taken = [item.item_id for call in self.calls for item in call]
        self.calls.clear()
        return taken


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


@pytest.fixture
def small(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    """One with SQLite, where the database does not matter."""
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=60.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def see(hits: PathHits, *ids: object, kind: str = "product", sync: bool = True) -> None:
    """A view of each."""
    for number, one in enumerate(ids):
        address = f"203.0.{number // 250}.{number % 250 + 1}"
        assert hits.track_view(kind, one, ip=address, user_agent=BROWSER)
    assert hits.flush(30)
    if sync:
        hits.sync()


def later(hours: float = 1.0) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def aged(hits: PathHits, **by: float) -> None:
    """All changes so far were longer ago."""
    with hits.engine.begin() as connection:
        for identity, moment in connection.execute(select(tables.items.c.id, tables.items.c.updated_at)).all():
            changed = update(tables.items).where(tables.items.c.id == identity)
            connection.execute(changed.values(updated_at=moment - timedelta(**by)))


def test_a_sink_gets_each_item_with_all_its_figures(hits: PathHits) -> None:
    sink = Sink()
    hits.popularity_sink(sink)
    see(hits, "pan", "pan", "jug", sync=False)
    hits.track("product.liked", "pan")
    hits.track("product.downloaded", "card")
    see(hits, 1, kind="film")
    report = hits.refresh_popularity()
    assert [(one.name, one.items, one.error) for one in report.sinks] == [("sink", 4, "")]
    today = int(datetime.now(UTC).timestamp() // 86_400)
    rule = Popularity()
    found = {(item.item_type, item.item_id): item for call in sink.calls for item in call}
    assert {name: dict(item.counters) for name, item in found.items()} == {
        ("product", "pan"): {"views": 2, "likes": 1},
        ("product", "jug"): {"views": 1},
        ("product", "card"): {"views": 0, "downloads": 1},
        ("film", "1"): {"views": 1},
    }
    assert found["product", "pan"].popularity == pytest.approx(rule.of([(today, "views", 7)]), abs=0.2)
    assert found["product", "card"].popularity == pytest.approx(rule.of([(today, "views", 3)]), abs=0.2)
    assert found["product", "pan"].as_dict().keys() == {"views", "likes", "popularity"}


def test_only_what_changed_is_sent_again(hits: PathHits) -> None:
    sink = Sink()
    hits.popularity_sink(sink)
    see(hits, *range(10))
    aged(hits, hours=2)
    hits.refresh_popularity()
    assert sorted(sink.took(), key=int) == [str(n) for n in range(10)]
    hits.refresh_popularity()
    assert sink.took() == []
    see(hits, 3, 7)
    hits.refresh_popularity()
    assert sorted(sink.took()) == ["3", "7"]
    hits.refresh_popularity()
    assert sorted(sink.took()) == ["3", "7"], "a sync may still write what is as young as this"
    hits.refresh_popularity(later())
    assert sorted(sink.took()) == ["3", "7"]
    hits.refresh_popularity(later())
    assert sink.took() == []


def test_a_sync_that_commits_late_is_not_missed(small: PathHits) -> None:
    sink = Sink()
    small.popularity_sink(sink)
    see(small, "early")
    small.refresh_popularity()
    see(small, "late")
    aged(small, minutes=10)  # it began ten minutes before it could commit
    small.refresh_popularity()
    assert "late" in sink.took()


def _between(lines: list[str], job: Callable[[], object]) -> Iterator[str]:
    """The lines of an export, before each of which a job runs."""
    for line in lines:
        job()
        yield line


def test_what_an_import_adds_is_sent(hits: PathHits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LINES_A_CHUNK", 1)
    monkeypatch.setattr(job, "MARGIN", 60 * 1_000_000)
    sink, latest = Sink(), dict[str, dict[str, int]]()
    hits.popularity_sink(sink)

    def serve() -> None:
        """Only what changes from here on is sent again."""
        hits.refresh_popularity()
        latest.update({item.item_id: dict(item.counters) for call in sink.calls for item in call})
        aged(hits, hours=1)

    with closing(made(hits.settings.redis_url, f"sqlite:///{tmp_path / 'b.db'}", namespace="other")) as other:
        other.migrate()
        see(other, "pan", "jug", "old")
        other.track("product.liked", "pan")
        other.track("product.liked", "old")
        other.flush(30)
        other.sync()
        aged(other, days=20)
        see(hits, "pan", "own")
        serve()
        hits.import_lines(_between(list(other.export_lines()), serve))
    serve()
    assert latest == {
        "pan": {"views": 2, "likes": 1},
        "jug": {"views": 1},
        "old": {"views": 1, "likes": 1},
        "own": {"views": 1},
    }
    popularity = {item.item_id: item.popularity for call in sink.calls for item in call}
    assert popularity["pan"] > popularity["old"] > popularity["jug"] == popularity["own"]


def test_a_sink_wants_the_types_it_names(small: PathHits) -> None:
    of_films, of_all = Sink("films"), Sink("all")
    small.popularity_sink(of_films, "film")
    small.popularity_sink(of_all)
    see(small, "pan")
    see(small, 1, kind="film")
    small.refresh_popularity()
    assert (of_films.took(), of_all.took()) == (["1"], ["pan", "1"])


def test_a_sink_that_fails_holds_up_no_other_and_catches_up(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "ITEMS_A_STEP", 2)
    bad, good = Sink("bad"), Sink("good")
    for sink in (bad, good):
        hits.popularity_sink(sink)
    see(hits, *range(5))
    aged(hits, hours=2)
    bad.fails = 1
    report = hits.refresh_popularity()
    assert [(one.name, one.items, bool(one.error)) for one in report.sinks] == [("bad", 0, True), ("good", 5, False)]
    assert "secret" not in str(report), "no password in a report"
    [row] = [row for row in rows_of(hits, tables.sinks) if row["name"] == "bad"]
    assert (row["failures"], row["error"].startswith("RuntimeError: no room")) == (1, True)
    assert "secret" not in row["error"]
    with pytest.raises(PathHitsError, match="bad: RuntimeError"):
        report.checked()
    bad.fails = 1
    assert hits.refresh_popularity().failed
    assert (len(good.took()), bad.took()) == (5, [])
    assert hits.refresh_popularity().checked().sinks[0].items == 5
    [row] = [row for row in rows_of(hits, tables.sinks) if row["name"] == "bad"]
    assert (row["failures"], row["error"], row["sent"]) == (0, "", 5)


def test_it_goes_on_where_it_failed(small: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "ITEMS_A_STEP", 2)
    sink = Sink()
    small.popularity_sink(sink)
    see(small, *range(7))
    aged(small, hours=2)
    sent: list[str] = []

    def send(items: Sequence[ItemPopularity]) -> None:
        if len(sent) == 4:
            raise KeyboardInterrupt  # killed
        sent.extend(item.item_id for item in items)

    monkeypatch.setattr(sink, "send", send)
    with pytest.raises(KeyboardInterrupt):
        small.refresh_popularity()
    monkeypatch.undo()
    small.refresh_popularity()
    assert sorted(sent + sink.took()) == [str(n) for n in range(7)], "each once"


def test_items_that_changed_in_the_same_moment_are_all_sent(small: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "ITEMS_A_STEP", 3)
    sink = Sink()
    small.popularity_sink(sink)
    see(small, *range(10))
    assert len({row["updated_at"] for row in rows_of(small, tables.items)}) == 1
    small.refresh_popularity()
    assert sorted(sink.took()) == [str(n) for n in range(10)]


def test_a_second_run_at_once_stops_and_everything_is_sent(small: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "ITEMS_A_STEP", 2)
    sink, other = Sink(), PathHits(small.settings)
    inner = Sink()
    small.popularity_sink(sink)
    other.popularity_sink(inner)
    see(small, *range(6))
    aged(small, hours=2)
    send = sink.send

    def overtaken(items: Sequence[ItemPopularity]) -> None:
        monkeypatch.setattr(sink, "send", send)
        other.refresh_popularity()
        send(items)

    monkeypatch.setattr(sink, "send", overtaken)
    assert small.refresh_popularity().sinks[0].items == 2
    assert (len(inner.took()), len(sink.took())) == (6, 2)
    other.close(0.1)


def test_all_items_may_be_asked_for_and_one_sink(small: PathHits) -> None:
    one, two = Sink("one"), Sink("two")
    small.popularity_sink(one)
    small.popularity_sink(two)
    see(small, "pan")
    aged(small, hours=2)
    small.refresh_popularity()
    assert (one.took(), two.took()) == (["pan"], ["pan"])
    small.refresh_popularity(all_items=True, sink="two")
    assert (one.took(), two.took()) == ([], ["pan"])
    with pytest.raises(SettingsError, match="there are: one, two"):
        small.refresh_popularity(sink="three")


def test_each_type_may_have_a_rule(small: PathHits) -> None:
    sink = Sink()
    small.popularity_sink(sink)
    small.popularity_rule("film", weights={"downloads": 1}, half_life=1)
    small.popularity_rule(weights={"views": 100})
    see(small, 1, kind="film")
    see(small, "pan")
    small.refresh_popularity()
    film, pan = [item for call in sink.calls for item in call]
    today = int(datetime.now(UTC).timestamp() // 86_400)
    assert film.popularity == 0.0
    assert pan.popularity == pytest.approx(Popularity().of([(today, "views", 100)]), abs=0.2)
    with pytest.raises(SettingsError):
        small.popularity_rule("film", half_life=-1)


@pytest.mark.parametrize("name", ["", "x" * 65, " x", "x\n", "taken"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    hits = PathHits()
    hits.popularity_sink(Sink("taken"))
    with pytest.raises(SettingsError):
        hits.popularity_sink(Sink(name))


# --- columns of the app's own table ---


@pytest.fixture
def shop(hits: PathHits) -> PathHits:
    with hits.engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(insert(products), [{"slug": slug} for slug in ("pan", "jug", "unseen")])
    c = products.c
    hits.mirror_popularity("product", products, id=c.slug, popularity=c.popularity, likes=c.likes)
    return hits


def stored(hits: PathHits) -> dict[str, tuple[float, int]]:
    return {row["slug"]: (row["popularity"], row["likes"]) for row in rows_of(hits, products)}


def test_a_column_holds_the_popularity(shop: PathHits) -> None:
    see(shop, "pan", "pan", "jug", "gone")
    shop.track("product.liked", "jug")
    see(shop, "pan")
    report = shop.refresh_popularity().checked()
    assert (report.sinks[0].name, report.sinks[0].items) == ("products.popularity", 3)
    found = stored(shop)
    assert found["jug"][0] > found["pan"][0] > found["unseen"][0] == 0.0, "a like weighs five views"
    assert {slug: likes for slug, (_, likes) in found.items()} == {"pan": 0, "jug": 1, "unseen": 0}
    with shop.engine.connect() as connection:
        ordered = connection.scalars(select(products.c.slug).order_by(products.c.popularity.desc())).all()
    assert ordered == ["jug", "pan", "unseen"]


def test_only_rows_with_another_figure_are_written(shop: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    see(shop, "pan", "jug")
    shop.refresh_popularity()
    before = stored(shop)
    written: list[Any] = []
    monkeypatch.setattr("pathhits.storage.sql.mirrors.update", lambda table: written.append(table))
    shop.refresh_popularity(all_items=True).checked()
    assert (written, stored(shop)) == ([], before)


def test_a_row_that_the_app_holds_is_waited_for_then_sent_again(
    shop: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shop.engine.dialect.name == "sqlite":
        pytest.skip("SQLite locks no rows")
    monkeypatch.setattr(columnsink, "TRIES", 2)
    see(shop, "pan", "jug")
    with shop.engine.begin() as connection:
        connection.execute(select(products).where(products.c.slug == "pan").with_for_update())
        report = shop.refresh_popularity()
        assert "1 rows of products are held" in report.sinks[0].error
    assert (stored(shop)["jug"][0] > 0, stored(shop)["pan"][0]) == (True, 0.0)
    shop.refresh_popularity().checked()
    assert stored(shop)["pan"][0] > 0


def test_a_table_may_be_in_another_database(small: PathHits, tmp_path: Any) -> None:
    elsewhere = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with elsewhere.begin() as connection:
        metadata.create_all(connection)
        connection.execute(insert(products).values(slug="pan"))
    c = products.c
    small.mirror_popularity("product", products, id=c.slug, popularity=c.popularity, engine=elsewhere)
    see(small, "pan")
    small.refresh_popularity().checked()
    with elsewhere.begin() as connection:
        assert connection.scalars(select(c.popularity)).one() > 0
        connection.execute(text("DROP TABLE products"))
    report = small.refresh_popularity(all_items=True)
    assert "no such table: products" in report.sinks[0].error
    elsewhere.dispose()


def test_what_is_no_column_of_the_table_is_refused() -> None:
    hits, c = PathHits(), products.c
    for given in ({"id": c.slug, "popularity": "popularity"}, {"id": c.slug, "popularity": tables.items.c.recent_at}):
        with pytest.raises(SettingsError):
            hits.mirror_popularity("product", products, **given)
    with pytest.raises(SettingsError):
        hits.mirror_popularity("product", tables.items, id=c.slug, popularity=c.popularity)


# --- full-text search sorts by it ---


def test_full_text_search_of_postgresql_sorts_by_the_column(redis_url: str, postgresql_url: str) -> None:
    with searching(redis_url, postgresql_url) as hits:
        search = text(
            "SELECT slug FROM products WHERE to_tsvector('english', slug) @@ plainto_tsquery('english', :words) "
            "ORDER BY popularity DESC, slug"
        )
        assert found(hits, search, "pan") == ["iron pan", "copper pan", "old pan"]


def test_full_text_search_of_sqlite_sorts_by_the_column(redis_url: str, sqlite_url: str) -> None:
    with searching(redis_url, sqlite_url) as hits:
        with hits.engine.begin() as connection:
            connection.execute(
                text("CREATE VIRTUAL TABLE product_words USING fts5(slug, content='products', content_rowid='id')")
            )
            connection.execute(text("INSERT INTO product_words(product_words) VALUES('rebuild')"))
        search = text(
            "SELECT p.slug FROM product_words w JOIN products p ON p.id = w.rowid WHERE product_words MATCH :words "
            "ORDER BY p.popularity DESC, p.slug"
        )
        assert found(hits, search, "pan") == ["iron pan", "copper pan", "old pan"]


class searching:
    """A shop with three pans and a jug; the pans were seen twice, once and never."""

    def __init__(self, redis_url: str, database_url: str) -> None:
        self.hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)

    def __enter__(self) -> PathHits:
        hits, c = self.hits, products.c
        hits.migrate()
        with hits.engine.begin() as connection:
            metadata.create_all(connection)
            names = ("old pan", "copper pan", "iron pan", "stoneware jug")
            connection.execute(insert(products), [{"slug": slug} for slug in names])
        hits.mirror_popularity("product", products, id=c.slug, popularity=c.popularity)
        see(hits, "copper pan", "iron pan", "iron pan", "stoneware jug")
        hits.refresh_popularity().checked()
        return hits

    def __exit__(self, *error: object) -> None:
        self.hits.close(0.1)


def found(hits: PathHits, search: Any, words: str) -> list[str]:
    with hits.engine.connect() as connection:
        return [row[0] for row in connection.execute(search, {"words": words})]


# --- command, job, database ---


def test_the_command_sends_and_says_what_each_sink_got(small: PathHits) -> None:
    bad, good = Sink("bad"), Sink("good")

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(group, ["popularity", *arguments], obj=small, env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result.output

    assert "no popularity sink" in run()
    small.popularity_sink(bad)
    small.popularity_sink(good)
    see(small, "pan")
    bad.fails = 1
    text_ = run(code=1)
    assert "RuntimeError: no room" in text_
    assert json.loads(run("--all", "--sink", "good", "--json"))["sinks"] == [{"name": "good", "items": 1, "error": ""}]
    run("--sink", "third", code=2)


def test_the_job_fails_when_a_sink_did(small: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink()
    small.popularity_sink(sink)
    monkeypatch.setattr(tasks, "load", lambda: PathHitsWithout(small))
    see(small, "pan")
    sink.fails = 1
    with pytest.raises(PathHitsError, match="popularity sink sink"):
        tasks.popularity()
    assert tasks.popularity()["sinks"][0]["items"] == 1


class PathHitsWithout:
    """The same object, that a task does not close."""

    def __init__(self, hits: PathHits) -> None:
        self.refresh_popularity = hits.refresh_popularity

    def close(self) -> None:
        pass


def test_the_job_comes_every_hour() -> None:
    [line] = [line for line in SCHEDULE if line.id == "popularity"]
    assert (line.period(Settings()), line.period(Settings(popularity_every=60.0))) == (3600.0, 60.0)


def test_without_its_tables_it_says_what_to_do(redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url)
    hits.popularity_sink(Sink())
    with pytest.raises(NotMigrated, match="pathhits db upgrade"):
        hits.refresh_popularity()
    hits.close(0.1)


def test_what_changed_is_found_by_an_index(hits: PathHits) -> None:
    with hits.engine.begin() as connection:
        now = datetime.now(UTC)
        rows = [
            {"item_key": n.to_bytes(32, "big"), "item": f"product:{n}", "item_type": "product", "created_at": now,
             "updated_at": now - timedelta(minutes=n)}
            for n in range(2_000)
        ]  # fmt: skip
        connection.execute(insert(tables.items), rows)
        assert connection.scalar(select(func.count()).select_from(tables.items)) == 2_000
    with hits.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE pathhits_items")
        seen: list[str] = []

        def explained(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            seen.append(statement)
            plan = "EXPLAIN QUERY PLAN " if conn.dialect.name == "sqlite" else "EXPLAIN "
            with hits.engine.connect() as other:
                rows = other.exec_driver_sql(plan + statement, parameters).all() if "EXPLAIN" not in statement else []
                seen.extend(map(str, rows))

        event.listen(hits.engine, "before_cursor_execute", explained)
        try:
            recent = Position(int((now - timedelta(minutes=5)).timestamp() * 1_000_000), 0)
            assert len(Changes(hits.engine).after(recent, 10)) in (5, 6)
        finally:
            event.remove(hits.engine, "before_cursor_execute", explained)
    assert any("ix_pathhits_items_updated_at" in line for line in seen), seen


def test_a_place_is_moved_by_one_of_two(hits: PathHits) -> None:
    states = SinkStates(hits.engine)
    here = states.get("x").position
    there = Position(5, 2)
    assert states.advance("x", here, there, 3)
    assert not states.advance("x", here, Position(9, 9), 3)
    assert states.advance("x", there, there, 0), "it may stay where it is"
    assert states.get("x").position == there
